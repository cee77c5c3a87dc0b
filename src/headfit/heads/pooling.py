"""Pooling: what turns a feature map into one vector, and the registry of all poolings.

headfit's own poolings are registered when ``headfit.heads.layers`` is imported. Nothing here needs
Keras: the Keras layers of each pooling are in :mod:`headfit.heads.keras_layers.registry`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from headfit.errors import UnknownNameError, UsageError

MapShape = tuple[int, int, int]
"""Height, width and channels of one feature map."""
Floats = npt.NDArray[np.floating[Any]]
Vectors = npt.NDArray[np.float32]

_BLOCK = 2**17  # numbers pooled at a time, so that temporaries stay in the processor's cache


@dataclass(frozen=True)
class Pooling(ABC):
    """One way from maps (n, H, W, C) to vectors (n, width).

    A subclass implements ``_width`` and ``_pool``, and sets ``trainable`` if it has weights.

    Attributes:
        name: its name in a chain: lower-case words joined by underscores.
        formula: in the notation F_p, the C features at position p.
        source: the paper or library that it comes from.
        position_aware: whether the output depends on where in the map a feature is.
        shapes: values to try for its shape parameter; empty if it has none.
        default_shape: the default of the shape parameter; None if it has none.
        nonnegative: whether it rejects maps with negative values.
        min_side: smallest height and width of a map.
        several_layers: whether its map consists of the averages of several layers.
        trainable: number of trainable parameters.
        shape_argument: what the Keras layer calls the shape parameter.

    Example:

    >>> import numpy as np
    >>> from headfit.heads.layers import GAP
    >>> GAP.pool(np.ones((2, 7, 7, 512), np.float32)).shape
    (2, 512)
    >>> GAP.width((7, 7, 512))
    512
    """

    name: str
    formula: str
    source: str
    position_aware: bool = False
    shapes: tuple[float, ...] = ()
    default_shape: float | None = None
    nonnegative: bool = False
    min_side: int = 1
    several_layers: bool = False

    trainable: ClassVar[int] = 0
    shape_argument: ClassVar[str] = ""

    def width(self, map_shape: MapShape) -> int:
        """Count the output features.

        Raises:
            UsageError: if the map is too small.
        """
        self.check(map_shape)
        return self._width(map_shape)

    def parameters(self, map_shape: MapShape, classes: int | None = None) -> int:
        """Count the trainable parameters of the pooling.

        Args:
            map_shape: height, width and channels of the feature map.
            classes: K; required only by a pooling with weights for each class.

        Raises:
            UsageError: if the map is too small, or K is required and None.
        """
        self.check(map_shape)
        return self.trainable

    @property
    def fixed_size(self) -> bool:
        """Whether the size of the map must be known when a model is built."""
        return self.position_aware

    def tau(self, shape: float | None) -> float | None:
        """Give the position between flatten (0) and gap (1) of the inner products of its output.

        Returns:
            τ if ⟨v, v'⟩ = (1−τ) Σ_p⟨F_p, F'_p⟩ + τP⟨F̄, F̄'⟩ for maps of P positions with means F̄,
            so that the inner products of flatten and of gap suffice; None otherwise.
        """
        return None

    def check(self, map_shape: MapShape) -> None:
        """Make sure that maps of this shape can be pooled.

        Raises:
            UsageError: if a side is shorter than ``min_side``.
        """
        height, width, _ = map_shape
        if min(height, width) < self.min_side:
            raise UsageError(
                f"Head '{self.name}' needs a feature map of at least {self.min_side}×"
                f"{self.min_side} positions. Received: {height}×{width}. "
                f"Use larger images or another head, for example 'gap'."
            )

    def pool(self, maps: Floats, shape: float | None = None) -> Vectors:
        """Pool an array of maps with numpy; the reference for the Keras layer.

        Args:
            maps: float16 or float32 (n, H, W, C), channels last.
            shape: the shape parameter; ``default_shape`` if None.

        Returns:
            float32 (n, width), never a view of ``maps``.

        Raises:
            UsageError: if the maps or the shape parameter do not suit the pooling.
        """
        return self.pool_all(maps, (shape,))[0]

    def pool_all(self, maps: Floats, shapes: Sequence[float | None]) -> list[Vectors]:
        """Pool an array of maps with several shape parameters, sharing intermediate results.

        Args:
            maps: float16 or float32 (n, H, W, C), channels last.
            shapes: the shape parameters; None stands for ``default_shape``.

        Returns:
            float32 (n, width) for each shape parameter.

        Raises:
            UsageError: if the maps or a shape parameter do not suit the pooling.
        """
        values = [self.shape_or_default(shape) for shape in shapes]
        map_shape: MapShape = maps.shape[1:]
        pooled = [np.empty((len(maps), self.width(map_shape)), np.float32) for _ in values]
        step = max(1, _BLOCK // max(1, math.prod(map_shape)))
        for start in range(0, len(maps), step):
            block = np.asarray(maps[start : start + step], np.float32)
            self._check_signs(block)
            for out, vectors in zip(pooled, self._pool_all(block, values), strict=True):
                out[start : start + step] = vectors
        return pooled

    def shape_or_default(self, shape: float | None) -> float:
        """Give the shape parameter to use; NaN, which is never read, if the pooling has none.

        Raises:
            UsageError: if it is not positive, or the pooling has no shape parameter.
        """
        if self.default_shape is None:
            if shape is not None:
                raise UsageError.invalid(
                    "shape", shape, f"None, since head '{self.name}' has no shape parameter"
                )
            return math.nan
        value = self.default_shape if shape is None else float(shape)
        if not 0 < value < math.inf:
            raise UsageError.invalid(
                "shape", value, f"a positive number, the shape parameter of head '{self.name}'"
            )
        return value

    @abstractmethod
    def _width(self, map_shape: MapShape) -> int: ...

    @abstractmethod
    def _pool(self, maps: Vectors, shape: float) -> Vectors: ...

    def _pool_all(self, maps: Vectors, shapes: Sequence[float]) -> Iterable[Vectors]:
        return (self._pool(maps, shape) for shape in shapes)

    def _check_signs(self, maps: Vectors) -> None:
        if self.nonnegative and maps.size and (least := float(maps.min())) < 0:
            raise UsageError(
                f"Head '{self.name}' needs feature maps without negative values. Received maps "
                f"with a minimum of {least:g}. Use 'gap' or 'avgmax', or cut the backbone after a "
                f"ReLU."
            )


@dataclass(frozen=True)
class ShapedPooling(Pooling):
    """Pools each channel separately, with one trainable shape parameter."""

    trainable: ClassVar[int] = 1

    def _width(self, map_shape: MapShape) -> int:
        return map_shape[2]

    def _pool(self, maps: Vectors, shape: float) -> Vectors:
        (pooled,) = self._pool_all(maps, (shape,))
        return pooled

    @abstractmethod
    def _pool_all(self, maps: Vectors, shapes: Sequence[float]) -> Iterable[Vectors]: ...


_REGISTRY: dict[str, Pooling] = {}


def register(pooling: Pooling) -> Pooling:
    """Add a pooling under its name.

    Raises:
        ValueError: if the name is taken or cannot be part of a chain.
    """
    if not pooling.name.isidentifier() or pooling.name != pooling.name.lower():
        raise ValueError(
            f"The name of a pooling must be a lower-case identifier. Received: '{pooling.name}'."
        )
    if pooling.name in _REGISTRY:
        raise ValueError(f"A pooling named '{pooling.name}' is already registered.")
    _REGISTRY[pooling.name] = pooling
    return pooling


def find_pooling(name: str) -> Pooling:
    """Find a registered pooling.

    Raises:
        UnknownNameError: if there is none; the message lists the valid names.
    """
    if name not in _REGISTRY:
        raise UnknownNameError("head", name, _REGISTRY)
    return _REGISTRY[name]


def pooling_names() -> list[str]:
    """List the names of all registered poolings, in the order of registration."""
    return list(_REGISTRY)
