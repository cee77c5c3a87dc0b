"""Depthwise convolution as matrix products: the form in which a CPU trains it quickest.

XLA runs a depthwise convolution on a CPU at less than 1 GFLOP/s, its gradient too. As a sum of
shifted products the forward pass takes a tenth of that time, but the gradient of the kernel remains
slow. Here each channel multiplies by a matrix that holds its kernel at each position, which is
mostly zeros: several times as many operations, at the speed of matrix products. Maps larger than
a tile are divided into overlapping ones.

Maps are turned: (channels, height, width, images). Imports JAX.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import lax

Array = jax.Array
TILE = 8  # most positions along a side of a tile of the output
ROWS_OF_STRIDES = 2  # the same for rows with strides, whose matrices hold more zeros
PADDINGS = ("same", "valid")


@dataclass(frozen=True)
class _Axis:
    """Height or width of a depthwise convolution.

    Attributes:
        size: positions of the input.
        kernel: positions of the kernel.
        stride: between two positions of the output, in positions of the input.
        padding: ``"same"`` or ``"valid"``.
        most: positions of the output in a tile, at most.
    """

    size: int
    kernel: int
    stride: int
    padding: str
    most: int = TILE

    @property
    def outputs(self) -> int:
        if self.padding == "same":
            return math.ceil(self.size / self.stride)
        return (self.size - self.kernel) // self.stride + 1

    @property
    def before(self) -> int:
        """Zeros before the input, as TensorFlow and Keras count them."""
        if self.padding == "valid":
            return 0
        return max((self.outputs - 1) * self.stride + self.kernel - self.size, 0) // 2

    @property
    def tiles(self) -> int:
        return math.ceil(self.outputs / self.most)

    @property
    def tile(self) -> int:
        """Positions of the output in a tile; all of them if there is one tile."""
        return math.ceil(self.outputs / self.tiles)

    @property
    def step(self) -> int:
        """Positions of the input from one tile to the next."""
        return self.tile * self.stride

    @property
    def tile_inputs(self) -> int:
        """Positions of the input that a tile depends on; a single tile takes the input as it is."""
        return self.size if self.tiles == 1 else self.step - self.stride + self.kernel

    @property
    def padded(self) -> int:
        """Positions of the padded input that all tiles cover, and at least the input."""
        covered = (self.tiles - 1) * self.step + self.tile_inputs
        return max(covered, self.lead + self.size)

    @property
    def lead(self) -> int:
        """Zeros before the input of all tiles; a single tile's matrix knows of them instead."""
        return 0 if self.tiles == 1 else self.before

    def placement(self) -> npt.NDArray[np.float32]:
        """Say which position of the kernel joins an output and an input of a tile: 0 or 1."""
        offset = self.before - self.lead
        shape = (self.kernel, self.tile, self.tile_inputs)
        tap, output, position = np.indices(shape, sparse=True)
        joined = position == output * self.stride + tap - offset
        return np.asarray(joined, np.float32)


@dataclass(frozen=True)
class _Layout:
    """How a depthwise convolution is divided into tiles."""

    rows: _Axis
    columns: _Axis

    @property
    def single(self) -> bool:
        return self.rows.tiles == self.columns.tiles == 1

    @cached_property
    def placement(self) -> npt.NDArray[np.float32]:
        """For each position of the kernel, which output of a tile it joins to which input."""
        both = np.einsum("iap,jbq->ijabpq", self.rows.placement(), self.columns.placement())
        outputs = self.rows.tile * self.columns.tile
        return np.ascontiguousarray(both.reshape(-1, outputs, self.tile_inputs))

    @property
    def tile_inputs(self) -> int:
        return self.rows.tile_inputs * self.columns.tile_inputs

    def matrices(self, kernel: Array) -> Array:
        """Give the matrix of each channel, (C, outputs of a tile, inputs of a tile)."""
        return self._spread(kernel, self.placement)

    def transposed(self, kernel: Array) -> Array:
        """Give the same transposed; making them again is quicker than transposing them."""
        return self._spread(kernel, self.placement.transpose(0, 2, 1))

    def gathered(self, matrices: Array) -> Array:
        """Give the gradient of the kernel from that of the transposed matrices."""
        taps = self.placement.transpose(0, 2, 1).reshape(len(self.placement), -1)
        flat = matrices.reshape(len(matrices), -1) @ taps.T
        return flat.T.reshape(self.rows.kernel, self.columns.kernel, -1)

    def _spread(self, kernel: Array, placement: npt.NDArray[np.float32]) -> Array:
        taps = kernel.reshape(len(placement), -1).T
        return (taps @ placement.reshape(len(placement), -1)).reshape(-1, *placement.shape[1:])

    def divided(self, x: Array) -> Array:
        """Divide the input, (C, inputs of a tile, tiles · images)."""
        channels, images = x.shape[0], x.shape[-1]
        if not self.single:
            pads = [(a.lead, a.padded - a.lead - a.size) for a in (self.rows, self.columns)]
            x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
            size = (channels, self.rows.tile_inputs, self.columns.tile_inputs, images)
            x = jnp.stack([lax.dynamic_slice(x, at, size) for at in self._corners()], 3)
        return x.reshape(channels, self.tile_inputs, -1)

    def joined(self, tiles: Array, images: int) -> Array:
        """Undo :meth:`divided`, adding up where tiles overlap."""
        rows, columns = self.rows, self.columns
        shape = (len(tiles), rows.tile_inputs, columns.tile_inputs)
        if self.single:
            return tiles.reshape(*shape, images)
        tiles = tiles.reshape(*shape, -1, images)
        x = jnp.zeros((len(tiles), rows.padded, columns.padded, images), tiles.dtype)
        for number, at in enumerate(self._corners()):
            former = lax.dynamic_slice(x, at, (*shape, images))
            x = lax.dynamic_update_slice(x, former + tiles[:, :, :, number], at)
        top, left = rows.lead, columns.lead
        return x[:, top : top + rows.size, left : left + columns.size]

    def divided_outputs(self, y: Array) -> Array:
        """Divide the output, (C, outputs of a tile, tiles · images)."""
        rows, columns = self.rows, self.columns
        channels, images = y.shape[0], y.shape[-1]
        if not self.single:
            fill = [(0, axis.tiles * axis.tile - axis.outputs) for axis in (rows, columns)]
            y = jnp.pad(y, ((0, 0), *fill, (0, 0)))
            shape = (channels, rows.tiles, rows.tile, columns.tiles, columns.tile, images)
            y = y.reshape(shape).transpose(0, 2, 4, 1, 3, 5)
        return y.reshape(channels, rows.tile * columns.tile, -1)

    def joined_outputs(self, tiles: Array, images: int) -> Array:
        """Undo :meth:`divided_outputs`."""
        rows, columns = self.rows, self.columns
        shape = (len(tiles), rows.tile, columns.tile, rows.tiles, columns.tiles, images)
        y = tiles.reshape(shape).transpose(0, 3, 1, 4, 2, 5)
        y = y.reshape(len(tiles), rows.tiles * rows.tile, columns.tiles * columns.tile, images)
        return y[:, : rows.outputs, : columns.outputs]

    def _corners(self) -> list[tuple[int, int, int, int]]:
        rows, columns = self.rows, self.columns
        return [
            (0, row * rows.step, column * columns.step, 0)
            for row in range(rows.tiles)
            for column in range(columns.tiles)
        ]


@functools.lru_cache(maxsize=64)
def _layout(size: tuple[int, int], kernel: tuple[int, int], stride: int, padding: str) -> _Layout:
    most = TILE if stride == 1 else ROWS_OF_STRIDES
    rows = _Axis(size[0], kernel[0], stride, padding, most)
    return _Layout(rows, _Axis(size[1], kernel[1], stride, padding))


def _layout_of(x: Array, kernel: Array, stride: int, padding: str) -> _Layout:
    return _layout(x.shape[1:3], kernel.shape[:2], stride, padding)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def depthwise(x: Array, kernel: Array, stride: int = 1, padding: str = "same") -> Array:
    """Convolve each channel with its own kernel.

    Args:
        x: float32 (C, height, width, images).
        kernel: float32 (kernel height, kernel width, C).
        stride: along both axes.
        padding: ``"same"`` or ``"valid"``.

    Returns:
        float32 (C, height, width, images).
    """
    layout = _layout_of(x, kernel, stride, padding)
    tiles = jnp.matmul(layout.matrices(kernel), layout.divided(x))
    return layout.joined_outputs(tiles, x.shape[-1])


def _forward(
    x: Array, kernel: Array, stride: int, padding: str
) -> tuple[Array, tuple[Array, Array]]:
    return depthwise(x, kernel, stride, padding), (x, kernel)


def _backward(
    stride: int, padding: str, saved: tuple[Array, Array], gradient: Array
) -> tuple[Array, Array]:
    x, kernel = saved
    layout = _layout_of(x, kernel, stride, padding)
    outputs = layout.divided_outputs(gradient)
    inputs = layout.joined(jnp.matmul(layout.transposed(kernel), outputs), x.shape[-1])
    # a transposed copy of the smaller factor costs less than the slower product without it
    turned = lax.optimization_barrier(outputs.transpose(0, 2, 1))  # type: ignore[no-untyped-call]
    return inputs, layout.gathered(jnp.matmul(layout.divided(x), turned))


depthwise.defvjp(_forward, _backward)
