"""The first look at a data set: how deep are its images, and which depth holds for all of them?"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import BinaryIO, NamedTuple

import numpy as np

from headfit.images.decode import EIGHT_BIT_SUFFIXES
from headfit.images.depth import PLAIN, Depth, Span, span_of
from headfit.images.ends import ends_of_image
from headfit.images.flatten import is_deep
from headfit.images.index import ImageIndex
from headfit.images.readers import open_image, tiff_layout
from headfit.images.sources.source import LocalSource

SAMPLE = 64
"""Images of a kind whose values are looked at, at most."""
MOST_PIXELS = 100_000_000  # of them together: a few seconds
_PNG = b"\x89PNG"
_FORMATS_WITH_DEPTH = (_PNG, b"II", b"MM")


@dataclass(frozen=True)
class FirstLook:
    """What was seen.

    Attributes:
        depth: black and white for images of more than 8 bits.
        plain: number of images of 8 bits.
        integers: number of those with more, in whole numbers.
        floats: likewise, in floating-point numbers.
        sampled: number of images whose values were looked at.
        bits: the fewest and the most bits that whole numbers in one image need; None if there are
            none, or negative ones.
    """

    depth: Depth = PLAIN
    plain: int = 0
    integers: int = 0
    floats: int = 0
    sampled: int = 0
    bits: tuple[int, int] | None = None


def look_at(index: ImageIndex) -> FirstLook:
    """Look at a data set, as :func:`look` does."""
    source = index.source
    if isinstance(source, LocalSource):
        return look(index.paths, lambda row: source.open(index.paths[row]))
    return look(index.paths, lambda row: io.BytesIO(index.read_bytes(row)))


def look(names: Sequence[str], opened: Callable[[int], BinaryIO]) -> FirstLook:
    """Read the header of every image that can have more than 8 bits, and the values of some.

    The sample is the same in every run. Images that cannot be read are left to the run to report.

    Args:
        names: the name of each image; files named ``.jpg`` and the like have 8 bits.
        opened: opens the file of one by its row.
    """
    headers = (
        (row, _header(opened, row))
        for row, name in enumerate(names)
        if PurePath(name).suffix.lower() not in EIGHT_BIT_SUFFIXES
    )
    deep = {row: header for row, header in headers if header is not None}
    integers = [row for row, header in deep.items() if header.whole]
    floats = [row for row, header in deep.items() if not header.whole]
    whole_ends, float_ends = (_sample(deep, rows, opened) for rows in (integers, floats))
    bits = [int(high).bit_length() for low, high in whole_ends if low >= 0]
    return FirstLook(
        Depth(
            span_of(whole_ends, whole=True) if integers else None,
            span_of(float_ends, whole=False) if floats else None,
        ),
        len(names) - len(deep),
        len(integers),
        len(floats),
        len(whole_ends) + len(float_ends),
        (min(bits), max(bits)) if bits and len(bits) == len(whole_ends) else None,
    )


class _Header(NamedTuple):
    """Whether the values of an image of more than 8 bits are whole numbers, and their number."""

    whole: bool
    pixels: int


def _header(opened: Callable[[int], BinaryIO], row: int) -> _Header | None:
    """Read the header of an image; None if it has 8 bits."""
    try:
        with opened(row) as stream:
            start = stream.read(26)
            if not start.startswith(_FORMATS_WITH_DEPTH):
                return None
            if start.startswith(_PNG) and start[24] != 16:
                return None
            stream.seek(0)
            if not start.startswith(_PNG):  # a fraction of the time that opening it takes
                _, bits, _ = tiff_layout(stream)
                if bits <= 8:
                    return None
            image = open_image(stream)
            return (
                _Header(image.mode != "F", image.width * image.height) if is_deep(image) else None
            )
    # readers raise anything on hostile bytes; the run will say that this image is damaged
    except Exception:
        return None


def _sample(
    deep: Mapping[int, _Header], rows: Sequence[int], opened: Callable[[int], BinaryIO]
) -> list[Span]:
    """Give the lowest and the highest values of some images of one kind."""
    ends: list[Span] = []
    pixels = 0
    for row in np.random.default_rng(0).permutation(rows).tolist():
        pixels += deep[row].pixels
        if len(ends) == SAMPLE or (ends and pixels > MOST_PIXELS):
            break
        ends += _ends(opened, row)
    return ends


def _ends(opened: Callable[[int], BinaryIO], row: int) -> list[Span]:
    try:
        with opened(row) as stream:
            ends = ends_of_image(stream.read())
    except Exception:
        return []
    return [] if ends is None else [ends]
