"""How values of more than 8 bits become 0 to 255: one scaling for a whole data set.

A file of 16 bits does not say how many of them its values use: cameras, microscopes and X-ray
detectors write 10 to 14. So one look at the data set decides: at the start of every file, and at
the values of some. White is the highest number of as many bits as the values need, so that it does
not hang on the brightest image of the sample. The scaling travels with the contract.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import chain
from numbers import Real
from typing import Any

import numpy as np

from headfit.errors import ImageError, UsageError

Span = tuple[float, float]
RARE = 1e-4  # the share of values that may lie beyond black or white: hot and dead pixels
LEVELS = 2**16  # of 16 bits
HUGE = 1e30  # what larger floats say is that a value is missing


@dataclass(frozen=True)
class Depth:
    """The values of black and of white in images of more than 8 bits.

    Attributes:
        integers: of whole numbers; None if the data set has no such images.
        floats: of floating-point numbers, likewise.

    Raises:
        UsageError: black is not below white.
    """

    integers: Span | None = None
    floats: Span | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            span = getattr(self, each.name)
            if span is not None:
                object.__setattr__(self, each.name, _span(each.name, span))

    def to_dict(self) -> dict[str, list[float]]:
        """Return it as data for JSON; empty for images of 8 bits."""
        return {name: list(span) for name, span in asdict(self).items() if span is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Depth:
        """Rebuild it from the data of :meth:`to_dict`.

        Raises:
            UsageError: the data are not valid.
        """
        names = {each.name for each in fields(cls)}
        if not isinstance(data, Mapping) or set(data) - names:
            raise UsageError.invalid("depth", data, f"an object with {', '.join(sorted(names))}")
        return cls(**data)

    def eight_bits(self, values: np.ndarray) -> np.ndarray:
        """Turn values of any shape into uint8; those that are missing become black.

        Raises:
            ImageError: the data set had no such images, so that their scaling is not known.
        """
        return scaled(values, self.span_in([values]))

    def span_in(self, parts: Iterable[np.ndarray]) -> Span:
        """Give black and white for the values of one image.

        Raises:
            ImageError: the data set had no such images, so that their scaling is not known.
        """
        rest = iter(parts)
        first = next(rest)
        span = self.floats if first.dtype.kind == "f" else self.integers
        return _nominal(chain([first], rest)) if span is None else span


def scaled(values: np.ndarray, span: Span) -> np.ndarray:
    """Turn values of any shape into uint8, black to white; those that are missing become black."""
    if values.dtype.kind == "u" and values.itemsize == 2 and values.size > LEVELS:
        levels: np.ndarray = _table(span)[values]
        return levels
    return _scaled(values, span)


@functools.lru_cache(4)
def _table(span: Span) -> np.ndarray:
    return _scaled(np.arange(LEVELS), span)


def _scaled(values: np.ndarray, span: Span) -> np.ndarray:
    black, white = span
    levels = (values.astype(np.float64) - black) * (255 / (white - black))
    if values.dtype.kind == "f":
        levels = np.where(np.isfinite(levels) & (np.abs(values) < HUGE), levels, 0)
    rounded: np.ndarray = np.rint(levels).clip(0, 255).astype(np.uint8)
    return rounded


PLAIN = Depth()
"""That of a data set with images of 8 bits only."""


def span_of(ends: Sequence[Span], *, whole: bool) -> Span:
    """Choose black and white for images of one kind.

    Args:
        ends: what :func:`ends_of` says of some of them.
        whole: whether their grey levels are whole numbers.
    """
    if not ends:
        return (0.0, 65535.0) if whole else (0.0, 1.0)
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    black, white = (-_power(-low) if low < 0 else 0.0), _white(high, whole)
    if low == high or high - low >= (white - black) / 4:
        return black, white
    # far from black, as temperatures are: from the lowest to the highest, and some room for others
    step = _power(high - low) / 8
    return (math.floor(low / step) - 1) * step, (math.ceil(high / step) + 1) * step


def ends_of(values: np.ndarray) -> Span | None:
    """Give the lowest and the highest grey level but for rare ones; None if all are missing."""
    present = _present(values)
    if not present.size:
        return None
    beyond = int(present.size * RARE)
    ordered = np.partition(present, (beyond, present.size - 1 - beyond))
    return float(ordered[beyond]), float(ordered[-1 - beyond])


def _white(high: float, whole: bool) -> float:
    if whole or high >= 64:
        bits = max(8, math.ceil(math.log2(max(high, 1) + 1)))
        return float(2 ** (16 if bits == 15 else bits) - 1)
    return 1.0 if 0.25 < high <= 1 else _power(high)


def _power(value: float) -> float:
    """Give the least power of two that is not below a value; 1 for what is not above 0."""
    return float(2.0 ** math.ceil(math.log2(value))) if value > 0 else 1.0


def _nominal(parts: Iterable[np.ndarray]) -> Span:
    """Give the span that the type of the file suggests, if the values of one image fit it."""
    lows, highs, floating = [], [], False
    for values in parts:
        present = _present(values)
        floating = values.dtype.kind == "f"
        lows += [float(present.min())] if present.size else []
        highs += [float(present.max())] if present.size else []
    low, high = min(lows, default=0.0), max(highs, default=0.0)
    top = 1.0 if floating else 65535.0
    if low == high == 0 or (low >= 0 and top / 4 < high <= top):
        return 0.0, top
    raise ImageError(
        f"values from {low:,.6g} to {high:,.6g} of unknown scaling, since the data set had "
        f"8-bit images only; convert it to 8 bits"
    )


def _present(values: np.ndarray) -> np.ndarray:
    """Give the values that are not missing, in one dimension."""
    flat = values.reshape(-1)
    return flat[np.isfinite(flat) & (np.abs(flat) < HUGE)] if flat.dtype.kind == "f" else flat


def _span(name: str, value: Any) -> Span:
    numbers = isinstance(value, Sequence) and len(value) == 2 and all(map(_finite, value))
    if not numbers or not value[0] < value[1]:
        raise UsageError.invalid(name, value, "two finite numbers, black below white")
    return float(value[0]), float(value[1])


def _finite(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)
