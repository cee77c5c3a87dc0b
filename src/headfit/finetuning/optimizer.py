"""AdamW with a learning rate for each layer. Imports Keras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras


class LayerwiseAdamW(keras.optimizers.AdamW):  # type: ignore[misc]  # Keras carries no types
    """AdamW whose learning rate is multiplied by a factor of each variable.

    Args:
        factors: by the path of a variable; those that it lacks have 1.
        options: as for ``keras.optimizers.AdamW``.
    """

    def __init__(self, factors: Mapping[str, float], **options: Any) -> None:
        super().__init__(**options)
        self._factors = dict(factors)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Take a step of one variable."""
        factor = self._factors.get(variable.path, 1.0)
        super().update_step(gradient, variable, learning_rate * factor)
