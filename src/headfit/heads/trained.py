"""Poolings that have weights of their own, which are trained with the rest of the head.

What such a pooling makes of a map depends on its weights, so ``forward`` takes them beside the
maps; ``pool``, which knows of none, refuses. One formula serves three libraries of arrays: numpy as
the reference, JAX for the training of many heads at once, Keras for the model that is saved.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from headfit.errors import UsageError
from headfit.heads.pooling import Floats, MapShape, Pooling, Tensor, Vectors

Array = Any
"""An array of numpy or of JAX, or a Keras tensor."""
Labels = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Weight:
    """One trainable array of a pooling.

    Attributes:
        name: of the Keras variable.
        shape: of the array.
        decay: whether weight decay applies to it.
        trained: whether gradients move it; False for what is kept as it is, and for statistics.
    """

    name: str
    shape: tuple[int, ...]
    decay: bool = True
    trained: bool = True

    @property
    def size(self) -> int:
        """Count its numbers."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class TrainedPooling(Pooling):
    """A pooling with trainable arrays.

    A subclass fills in ``_weights``, ``_initial``, ``forward``, ``_width`` and ``_keras_layer``.
    ``width`` counts the features that the final layer has weights for: none after a readout.

    Attributes:
        readout: whether the output is the K logits but for their bias, so that no layer follows.
        data_start: whether ``initial`` makes use of images.
        shifts: whether a vector μ added to every position only adds something to the output that
            does not depend on the map: what a map of nothing but μ gives.
    """

    readout: ClassVar[bool] = False
    data_start: ClassVar[bool] = False
    shifts: ClassVar[bool] = False

    @property
    def identity(self) -> str | list[str]:
        """What tells its fits from those of other poolings, plain data."""
        return self.name

    @property
    def scaled(self) -> bool:
        """Whether the maps that it is given are multiplied by one number, for descent's sake."""
        return True

    @property
    def hidden(self) -> bool:
        """Whether it is given the attempts of a body with hidden layers.

        Larger steps, which a single matrix wants, undo its start: on 400 digits the held-out
        log-loss of netvlad was 0.34 at a learning rate of 1e-3, above 1 at 1e-2 and 3e-2.
        """
        return True

    @property
    def probed(self) -> bool:
        """Whether the layer after it starts as a classifier of what it gives at first."""
        return True

    def settles(self, map_shape: MapShape) -> bool:
        """Whether some array is a statistic of the training images."""
        return False

    def on(self, map_shape: MapShape, seed: int) -> Self:
        """Give the same for maps of one shape.

        Args:
            map_shape: height, width and channels of the feature map.
            seed: of the weights that training starts from.

        Raises:
            UsageError: if it does not suit such maps.
        """
        return self

    def weights(self, map_shape: MapShape, classes: int | None = None) -> tuple[Weight, ...]:
        """List the arrays, in the order of the Keras layer's ``get_weights()``.

        Args:
            map_shape: height, width and channels of the feature map.
            classes: K; only a readout asks for it.

        Raises:
            UsageError: if the map is too small, or K is asked for and None.
        """
        self.check(map_shape)
        if self.readout and classes is None:
            raise UsageError(f"Head '{self.name}' needs the number of classes, got none.")
        return self._weights(map_shape, classes or 0)

    def own_parameters(self, map_shape: MapShape, classes: int | None = None) -> int:
        """Count the trainable numbers inside the pooling."""
        return sum(weight.size for weight in self.weights(map_shape, classes) if weight.trained)

    def initial(
        self,
        map_shape: MapShape,
        classes: int | None,
        seed: int,
        maps: Vectors | None = None,
        labels: Labels | None = None,
    ) -> list[Vectors]:
        """Give what training starts from.

        Args:
            map_shape: height, width and channels of the feature map.
            classes: K; only a readout asks for it.
            seed: of the random numbers.
            maps: float32 (n, P, C) of images to learn from, in the scale of training; they matter
                if ``data_start``.
            labels: int (n,), the classes of those images.

        Returns:
            float32, one array for each of ``weights``.

        Raises:
            UsageError: as ``weights``.
        """
        shapes = [weight.shape for weight in self.weights(map_shape, classes)]
        found = self._initial(shapes, np.random.default_rng(seed), maps, labels)
        return [np.ascontiguousarray(array, np.float32) for array in found]

    @abstractmethod
    def forward(self, xp: Any, maps: Array, weights: Sequence[Array]) -> Array:
        """Pool maps.

        Args:
            xp: the library of the arrays: ``numpy``, ``jax.numpy`` or ``keras.ops``.
            maps: float32 (n, P, C), the positions of an H×W map row by row.
            weights: float32, one array for each of ``weights``.

        Returns:
            float32 (n, width), or (n, K) of a readout.
        """

    def pool_all(self, maps: Floats, shapes: Sequence[float | None]) -> list[Vectors]:
        """Refuse: there is no pooling without weights.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"Head '{self.name}' has weights of its own and cannot pool maps without them. "
            f"Use 'forward' with weights, for instance those of 'initial'."
        )

    def layer(
        self,
        x: Tensor,
        shape: float | None = None,
        name: str = "head_pool",
        data_format: str | None = None,
        classes: int | None = None,
    ) -> Tensor:
        """Append the pooling to a Keras graph; its weights are those of ``initial`` without maps.

        Args:
            x: Keras tensor (batch, H, W, C), or (batch, C, H, W) if channels come first.
            shape: None; these poolings have no shape parameter.
            name: of the layer.
            data_format: ``"channels_last"`` or ``"channels_first"``; Keras' setting if None.
            classes: K; only a readout asks for it.

        Returns:
            Keras tensor (batch, width), or (batch, K) of a readout.

        Raises:
            UsageError: if the map or the classes do not suit the pooling, or a shape is given.
        """
        self._value(shape)
        order = self._axes(x, data_format)
        if self.readout and classes is None:
            raise UsageError(f"Head '{self.name}' needs the number of classes, got none.")
        return self._keras_layer(name, order, classes or 0)(x)

    @abstractmethod
    def _weights(self, map_shape: MapShape, classes: int) -> tuple[Weight, ...]: ...

    @abstractmethod
    def _initial(
        self,
        shapes: Sequence[tuple[int, ...]],
        rng: np.random.Generator,
        maps: Vectors | None,
        labels: Labels | None,
    ) -> Sequence[Floats]: ...

    @abstractmethod
    def _keras_layer(self, name: str, data_format: str, classes: int) -> Any: ...

    def _pool(self, maps: Vectors, shape: float) -> Vectors:
        raise NotImplementedError  # pool_all, its only caller, refuses

    def _layer(self, x: Tensor, shape: float, name: str, data_format: str) -> Tensor:
        raise NotImplementedError  # layer, its only caller, knows the classes


def softmax(xp: Any, scores: Array, axis: int) -> Array:
    """Shares that sum to 1 along an axis, in any of the three libraries."""
    raised = xp.exp(scores - xp.max(scores, axis=axis, keepdims=True))
    return raised / xp.sum(raised, axis=axis, keepdims=True)
