"""AdamW with a learning rate for each layer. Imports Keras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np


class LayerwiseAdamW(keras.optimizers.AdamW):  # type: ignore[misc]  # Keras carries no types
    """AdamW whose learning rate is multiplied by a factor of each variable.

    Args:
        factors: by the path of a variable; those that it lacks have 1.
        options: as for ``keras.optimizers.AdamW``.
    """

    def __init__(self, factors: Mapping[str, float], **options: Any) -> None:
        super().__init__(**options)
        self._by_path = dict(factors)
        self._factors: list[float] = []

    def build(self, variables: Sequence[Any]) -> None:
        """Make the moments of the variables."""
        super().build(variables)
        self._factors = [self._by_path.get(variable.path, 1.0) for variable in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Take a step of one variable."""
        # by its number: on TensorFlow it is not Keras' variable, and has no path
        factor = self._factors[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * factor)

    def reached(self, variable: Any) -> bool:
        """Whether a gradient reached a variable since its moments were zero."""
        try:
            place = self._get_variable_index(variable)
        except KeyError:  # it is not trained
            return False
        moments = (self._momentums[place], self._velocities[place])
        return any(bool(np.asarray(moment).any()) for moment in moments)
