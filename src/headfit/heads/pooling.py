"""What turns a feature map into one vector, and the register of all that do.

Headfit's own poolings enter the register when ``headfit.heads.layers`` is imported. Nothing here
imports Keras before a layer is asked for, so the command line stays quick.
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
Tensor = Any
"""A Keras tensor; Keras carries no types."""

_BLOCK = 2**17  # numbers pooled at a time, so that temporaries stay in the processor's cache


@dataclass(frozen=True)
class Pooling(ABC):
    """One way from maps (n, H, W, C) to vectors (n, width).

    A subclass fills in the three methods with a leading underscore, and ``own`` if it trains.

    Attributes:
        name: how a chain calls it: lower-case, words joined by underscores.
        formula: in the notation F_p, the C features at position p.
        source: where it comes from.
        position_aware: whether its output tells where in the map a feature lies.
        shapes: values to try for its one shape parameter; empty if it has none.
        default_shape: the value when none is asked for; None if it has no such parameter.
        nonnegative: whether it refuses maps that hold a negative number.
        min_side: the least height and width of a map.
        several_layers: whether its map is made of the averages of several layers.
        own: trainable numbers inside the pooling.
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

    own: ClassVar[int] = 0

    def width(self, map_shape: MapShape) -> int:
        """Count the features that come out.

        Raises:
            UsageError: if the map is too small.
        """
        self.check(map_shape)
        return self._width(map_shape)

    def own_parameters(self, map_shape: MapShape, classes: int | None = None) -> int:
        """Count the trainable numbers inside the pooling.

        Args:
            map_shape: height, width and channels of the feature map.
            classes: K, which only a pooling with weights for each class asks for.

        Raises:
            UsageError: if the map is too small, or K is asked for and None.
        """
        self.check(map_shape)
        return self.own

    @property
    def fixed_size(self) -> bool:
        """Whether it needs maps of one size, known when a model is built."""
        return self.position_aware

    def tau(self, shape: float | None) -> float | None:
        """Say where its inner products lie between those of flatten and of gap.

        Returns:
            τ if ⟨v, v'⟩ = (1−τ) Σ_p⟨F_p, F'_p⟩ + τP⟨F̄, F̄'⟩ for maps of P positions with means F̄,
            so that flatten (τ = 0) and gap serve as well; None if they do not.
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
                f"{self.min_side} positions, this one has {height}×{width}. "
                f"Use larger images or another head, for instance 'gap'."
            )

    def pool(self, maps: Floats, shape: float | None = None) -> Vectors:
        """Pool an array of maps; the reference for ``layer``.

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
        """Pool an array of maps with several shape parameters, which share what they can.

        Args:
            maps: float16 or float32 (n, H, W, C), channels last.
            shapes: the shape parameters; ``default_shape`` for None.

        Returns:
            float32 (n, width) for each shape parameter.

        Raises:
            UsageError: if the maps or a shape parameter do not suit the pooling.
        """
        values = [self._value(shape) for shape in shapes]
        map_shape: MapShape = maps.shape[1:]
        found = [np.empty((len(maps), self.width(map_shape)), np.float32) for _ in values]
        step = max(1, _BLOCK // max(1, math.prod(map_shape)))
        for start in range(0, len(maps), step):
            block = np.asarray(maps[start : start + step], np.float32)
            self._check_signs(block)
            for out, vectors in zip(found, self._pool_all(block, values), strict=True):
                out[start : start + step] = vectors
        return found

    def layer(
        self,
        x: Tensor,
        shape: float | None = None,
        name: str = "head_pool",
        data_format: str | None = None,
        classes: int | None = None,
    ) -> Tensor:
        """Append the pooling to a Keras graph.

        Args:
            x: Keras tensor (batch, H, W, C), or (batch, C, H, W) if channels come first.
            shape: the shape parameter to start from; ``default_shape`` if None.
            name: of the layer that puts out the vector.
            data_format: ``"channels_last"`` or ``"channels_first"``; Keras' setting if None.
            classes: K, which only a pooling with weights for each class asks for.

        Returns:
            Keras tensor (batch, width).

        Raises:
            UsageError: if the map, the shape parameter or the classes do not suit the pooling.
        """
        return self._layer(x, self._value(shape), name, self._axes(x, data_format))

    def _axes(self, x: Tensor, data_format: str | None) -> str:
        """Say in which order the axes of a Keras tensor are, and check its size."""
        import keras  # noqa: PLC0415  (heavy)

        order = data_format or keras.config.image_data_format()
        _, *dims = x.shape
        height, width, channels = dims if order == "channels_last" else (*dims[1:], dims[0])
        if height is not None and width is not None:
            self.check((height, width, channels))
        elif self.fixed_size:
            raise UsageError(
                f"Head '{self.name}' needs a feature map of a fixed size, this one is "
                f"{height}×{width}. Build the backbone for a fixed input size."
            )
        return order

    @abstractmethod
    def _width(self, map_shape: MapShape) -> int: ...

    @abstractmethod
    def _pool(self, maps: Vectors, shape: float) -> Vectors: ...

    @abstractmethod
    def _layer(self, x: Tensor, shape: float, name: str, data_format: str) -> Tensor: ...

    def _pool_all(self, maps: Vectors, shapes: Sequence[float]) -> Iterable[Vectors]:
        return (self._pool(maps, shape) for shape in shapes)

    def _value(self, shape: float | None) -> float:
        """The shape parameter to use; NaN, which nobody reads, if the pooling has none."""
        if self.default_shape is None:
            if shape is not None:
                raise UsageError(f"Head '{self.name}' has no shape parameter, {shape:g} was given.")
            return math.nan
        value = self.default_shape if shape is None else float(shape)
        if not 0 < value < math.inf:
            raise UsageError(f"The shape parameter of '{self.name}' is {value:g}; it must be > 0.")
        return value

    def _check_signs(self, maps: Vectors) -> None:
        if self.nonnegative and maps.size and (least := float(maps.min())) < 0:
            raise UsageError(
                f"Head '{self.name}' needs feature maps without negative numbers, found {least:g}. "
                f"Use 'gap' or 'avgmax', or cut the backbone after a ReLU."
            )


@dataclass(frozen=True)
class ShapedPooling(Pooling):
    """Pools every channel by itself, with one shape parameter, which is trained."""

    own: ClassVar[int] = 1

    def _width(self, map_shape: MapShape) -> int:
        return map_shape[2]

    def _pool(self, maps: Vectors, shape: float) -> Vectors:
        (found,) = self._pool_all(maps, (shape,))
        return found

    @abstractmethod
    def _pool_all(self, maps: Vectors, shapes: Sequence[float]) -> Iterable[Vectors]: ...


_REGISTER: dict[str, Pooling] = {}


def register(pooling: Pooling) -> Pooling:
    """Add a pooling under its name.

    Raises:
        ValueError: if the name is taken or no chain could spell it.
    """
    if not pooling.name.isidentifier() or pooling.name != pooling.name.lower():
        raise ValueError(f"Pooling name '{pooling.name}' is not one lower-case identifier.")
    if pooling.name in _REGISTER:
        raise ValueError(f"A pooling named '{pooling.name}' is already registered.")
    _REGISTER[pooling.name] = pooling
    return pooling


def find_pooling(name: str) -> Pooling:
    """Find a registered pooling.

    Raises:
        UnknownNameError: if there is none; it lists those that exist.
    """
    if name not in _REGISTER:
        raise UnknownNameError("head", name, _REGISTER)
    return _REGISTER[name]


def pooling_names() -> list[str]:
    """List the names of all registered poolings, in the order of registration."""
    return list(_REGISTER)
