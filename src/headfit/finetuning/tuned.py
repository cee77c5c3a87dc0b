"""What fine-tuning made of a backbone: the weights of the layers that were trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headfit.util import digests


@dataclass(frozen=True)
class TunedStages:
    """The trained part of a backbone.

    Attributes:
        start: the layer after which training started; empty for all of the backbone.
        weights: float32 arrays of each layer by its name, in the order of Keras' ``get_weights``.

    Example:

    >>> TunedStages("block4_pool", {"block5_conv1": [np.zeros((3, 3, 1, 2)), np.zeros(2)]}).names
    ['block5_conv1/0', 'block5_conv1/1']
    """

    start: str
    weights: Mapping[str, Sequence[np.ndarray]]

    @property
    def names(self) -> list[str]:
        """Names of the arrays: ``layer/number``."""
        return list(self.arrays())

    def arrays(self) -> dict[str, np.ndarray]:
        """Give the arrays by name."""
        return {
            f"{layer}/{number}": np.asarray(array, np.float32)
            for layer, arrays in self.weights.items()
            for number, array in enumerate(arrays)
        }

    def identity(self) -> list[Any]:
        """What distinguishes it from other trained weights, JSON data."""
        parts = {
            name: [list(array.shape), digests.of_bytes(np.ascontiguousarray(array).data)]
            for name, array in self.arrays().items()
        }
        return [self.start, parts]

    def save(self, path: Path) -> None:
        """Write the arrays as an ``.npz``."""
        np.savez(path, **self.arrays())  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path, start: str) -> TunedStages:
        """Read what :meth:`save` wrote.

        Raises:
            ValueError: if the arrays of a layer are not numbered from 0.
        """
        weights: dict[str, list[np.ndarray]] = {}
        with np.load(path, allow_pickle=False) as stored:
            for name in stored.files:
                layer, _, number = name.rpartition("/")
                arrays = weights.setdefault(layer, [])
                if number != str(len(arrays)):
                    raise ValueError(f"'{name}' is not array {len(arrays)} of a layer.")
                arrays.append(stored[name])
        return cls(start, weights)
