"""Poolings with weights, which are trained together with the rest of the head.

The output depends on the weights, so ``forward`` takes them beside the maps, and ``pool_all``,
which has none, raises. One formula serves three array libraries: numpy as the reference, JAX for
training many heads at once, and Keras for the saved model.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from headfit.errors import UsageError
from headfit.heads.pooling import Floats, MapShape, Pooling, Vectors
from headfit.heads.ridge_start import Goal

Array = Any
"""A numpy or JAX array, or a Keras tensor."""
Labels = npt.NDArray[np.integer[Any]]
Shapes = Sequence[tuple[int, ...]]


@dataclass(frozen=True)
class Weight:
    """One array of a pooling.

    Attributes:
        name: of the Keras variable.
        shape: of the array.
        decay: whether weight decay applies to it.
        trained: whether gradients update it; False for frozen arrays and for statistics.
    """

    name: str
    shape: tuple[int, ...]
    decay: bool = True
    trained: bool = True

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False)
class Sample:
    """Training images from which initial weights may be computed.

    Attributes:
        maps: float32 (n, P, C), scaled as in training; n at least 1.
        goal: what is to be predicted of each.
    """

    maps: Vectors
    goal: Goal


@dataclass(frozen=True)
class TrainedPooling(Pooling):
    """A pooling with trainable arrays.

    A subclass sets ``arrays`` and implements ``_shapes``, ``_initial``, ``forward`` and ``_width``.
    ``width`` counts the features that the final layer has weights for: none after a readout.

    Attributes:
        arrays: name of each array, in the order of the Keras layer's ``get_weights()`` → whether
            weight decay applies to it.
        readout: whether the output is the K logits without their bias, so that no layer follows.
        data_start: whether the initial weights depend on images.
        shifts: whether adding a vector μ at every position only adds to the output what a map of
            nothing but μ gives.

    Example:

    >>> import numpy as np
    >>> from headfit.heads.layers import ATTENTION
    >>> weights = ATTENTION.initial((7, 7, 512), None, seed=0)
    >>> ATTENTION.forward(np, np.ones((2, 49, 512), np.float32), weights).shape
    (2, 512)
    """

    arrays: ClassVar[Mapping[str, bool]] = {}
    readout: ClassVar[bool] = False
    data_start: ClassVar[bool] = False
    shifts: ClassVar[bool] = False

    @property
    def identity(self) -> str | list[str]:
        """What distinguishes its fits from those of other poolings, JSON data."""
        return self.name

    @property
    def scaled(self) -> bool:
        """Whether its maps are multiplied by one number, which helps gradient descent."""
        return True

    @property
    def hidden(self) -> bool:
        """Whether it is trained with the settings for heads with hidden layers.

        Larger steps, which suit a single matrix, undo its initial weights: on 400 digits the
        held-out log-loss of netvlad was 0.34 at a learning rate of 1e-3, above 1 at 1e-2 and 3e-2.
        """
        return True

    @property
    def probed(self) -> bool:
        """Whether the next layer starts as a linear classifier of its initial output."""
        return True

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the arrays, in the order of the Keras layer's ``get_weights()``."""
        return tuple(self.arrays)

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The attributes that its class adds to those of every pooling."""
        common = {each.name for each in fields(TrainedPooling)}
        names = [each.name for each in fields(self) if each.name not in common]
        return {name: getattr(self, name) for name in names}

    def settles(self, map_shape: MapShape) -> bool:
        """Whether some array is a statistic of the training images."""
        return False

    def on(self, map_shape: MapShape, seed: int) -> Self:
        """Give this pooling prepared for maps of one shape.

        Args:
            map_shape: height, width and channels of the feature map.
            seed: of the initial weights.

        Raises:
            UsageError: if it does not suit such maps.
        """
        return self

    def weights(self, map_shape: MapShape, classes: int | None = None) -> tuple[Weight, ...]:
        """List the arrays, in the order of the Keras layer's ``get_weights()``.

        Args:
            map_shape: height, width and channels of the feature map.
            classes: K; required only by a readout.

        Raises:
            UsageError: if the map is too small, or K is required and None.
        """
        self.check(map_shape)
        self.check_classes(classes)
        shapes = self._shapes(map_shape, classes or 0)
        return tuple(
            Weight(name, shape, decay)
            for (name, decay), shape in zip(self.arrays.items(), shapes, strict=True)
        )

    def check_classes(self, classes: int | None) -> None:
        """Make sure that the number of classes is there if it is required.

        Raises:
            UsageError: if this is a readout and ``classes`` is None.
        """
        if self.readout and classes is None:
            raise UsageError.invalid(
                "classes", None, f"the number of classes, which head '{self.name}' needs"
            )

    def parameters(self, map_shape: MapShape, classes: int | None = None) -> int:
        """Count the trainable parameters of the pooling."""
        return sum(weight.size for weight in self.weights(map_shape, classes) if weight.trained)

    def initial(
        self, map_shape: MapShape, classes: int | None, seed: int, sample: Sample | None = None
    ) -> list[Vectors]:
        """Give the initial weights.

        Args:
            map_shape: height, width and channels of the feature map.
            classes: K; required only by a readout.
            seed: of the random numbers.
            sample: training images; used only if ``data_start``.

        Returns:
            float32, one array for each of ``weights``.

        Raises:
            UsageError: as ``weights``.
        """
        shapes = [weight.shape for weight in self.weights(map_shape, classes)]
        arrays = self._initial(shapes, np.random.default_rng(seed), sample)
        return [np.ascontiguousarray(array, np.float32) for array in arrays]

    @abstractmethod
    def forward(self, xp: Any, maps: Array, weights: Sequence[Array]) -> Array:
        """Pool maps.

        Args:
            xp: the array library: ``numpy``, ``jax.numpy`` or ``keras.ops``.
            maps: float32 (n, P, C), the positions of an H×W map row by row.
            weights: float32, one array for each of ``weights``.

        Returns:
            float32 (n, width), or (n, K) of a readout.
        """

    def multiplied(self, weights: Sequence[Floats], factors: Floats) -> Sequence[Floats]:
        """Change the weights of a readout so that each output is multiplied by a factor.

        Args:
            weights: one array for each of ``weights``.
            factors: (K,).
        """
        raise NotImplementedError  # only a readout has outputs of its own

    def pool_all(self, maps: Floats, shapes: Sequence[float | None]) -> list[Vectors]:
        """Raise: nothing can be pooled without weights.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"Head '{self.name}' has trainable weights and cannot pool maps without them. "
            f"Use 'forward' with weights, for example those of 'initial'."
        )

    @abstractmethod
    def _shapes(self, map_shape: MapShape, classes: int) -> Shapes: ...

    @abstractmethod
    def _initial(
        self, shapes: Shapes, rng: np.random.Generator, sample: Sample | None
    ) -> Sequence[Floats]: ...

    def _pool(self, maps: Vectors, shape: float) -> Vectors:
        raise NotImplementedError  # pool_all, its only caller, raises


def softmax(xp: Any, scores: Array, axis: int) -> Array:
    """Softmax along an axis, in any of the three array libraries."""
    raised = xp.exp(scores - xp.max(scores, axis=axis, keepdims=True))
    return raised / xp.sum(raised, axis=axis, keepdims=True)
