"""The preprocessing record: how an image file becomes the array that a backbone takes.

It travels with the features, with a saved classifier and with every export, so that training and
serving cannot diverge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from numbers import Real
from typing import Any

import numpy as np

from headfit.errors import ModelFileError, UsageError
from headfit.images.depth import PLAIN, Depth

MAX_SIDE = 4096
DECODER = "pillow-draft/1"
RESIZE = "stretch"


def check_side(name: str, value: object) -> int:
    """Check the side of an image and return it.

    Args:
        name: of the argument, for instance ``"height"``.
        value: the side, in pixels.

    Raises:
        UsageError: it is not a whole number from 1 to ``MAX_SIDE``.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_SIDE:
        raise UsageError.invalid(name, value, f"a whole number from 1 to {MAX_SIDE}")
    return value


@dataclass(frozen=True)
class Contract:
    """How an image file becomes the array that a backbone takes (the preprocessing record).

    Attributes:
        height: rows of the network's input, in pixels.
        width: columns of the network's input, in pixels.
        scale: for each of R, G, B: network input = pixel * scale + offset, pixels 0 to 255.
        offset: likewise.
        bgr: whether the network takes B, G, R; ``scale`` and ``offset`` are in RGB order even so.
        resize: ``"stretch"``: images are resized to height and width whatever their aspect ratio.
        decoder: version of the decoding rules, since other rules give other pixels.
        depth: black and white in images of more than 8 bits; empty if the data set has none.

    Raises:
        UsageError: a value is not valid.
    """

    height: int
    width: int
    scale: tuple[float, float, float]
    offset: tuple[float, float, float]
    bgr: bool = False
    resize: str = RESIZE
    decoder: str = DECODER
    depth: Depth = PLAIN

    def __post_init__(self) -> None:
        check_side("height", self.height)
        check_side("width", self.width)
        # Plain floats, so that equal contracts have equal text and equal digests.
        object.__setattr__(self, "scale", _triple("scale", self.scale))
        object.__setattr__(self, "offset", _triple("offset", self.offset))
        if not isinstance(self.bgr, bool):
            raise UsageError.invalid("bgr", self.bgr, "True or False")
        _check_only("resize", self.resize, RESIZE)
        _check_only("decoder", self.decoder, DECODER)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as data for JSON."""
        record = {**asdict(self), "scale": list(self.scale), "offset": list(self.offset)}
        del record["depth"]
        depth = self.depth.to_dict()
        # absent for images of 8 bits, so that their digests are those of earlier versions
        return {**record, "depth": depth} if depth else record

    def with_depth(self, depth: Depth) -> Contract:
        """Return the contract for a data set of another depth."""
        return replace(self, depth=depth)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Contract:
        """Rebuild a record from the data of :meth:`to_dict`.

        Raises:
            ModelFileError: a key is unknown or missing, or a value is not valid.
        """
        if not isinstance(data, Mapping):
            raise ModelFileError(
                f"The preprocessing record must be an object. Received: {type(data).__name__}."
            )
        names = {field.name for field in fields(cls)}
        data = {"depth": {}, **data}
        for problem, keys in (("unknown", set(data) - names), ("missing", names - set(data))):
            if keys:
                listed = ", ".join(sorted(map(repr, keys)))
                raise ModelFileError(
                    f"The preprocessing record has {problem} keys: {listed}. "
                    f"Expected: {', '.join(sorted(names))}."
                )
        try:
            return cls(**{**data, "depth": Depth.from_dict(data["depth"])})
        except UsageError as error:
            raise ModelFileError(f"The preprocessing record is not valid: {error}") from error

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Turn decoded pixels into network input: the reference that every engine must match.

        Args:
            pixels: (n, height, width, 3), uint8 or float, RGB, 0..255.

        Returns:
            float32 (n, height, width, 3), channels in the network's order.

        Raises:
            UsageError: the shape is not the expected one.
        """
        expected = (self.height, self.width, 3)
        if pixels.ndim != 4 or pixels.shape[1:] != expected:
            raise UsageError(
                f"`pixels` must have shape (n, *{expected}). Received: shape {pixels.shape}."
            )
        values = np.multiply(pixels, np.array(self.scale, np.float32), dtype=np.float32)
        values += np.array(self.offset, np.float32)
        return np.ascontiguousarray(values[..., ::-1]) if self.bgr else values


def _triple(name: str, values: object) -> tuple[float, float, float]:
    """Return three finite floats, or raise an error."""
    if isinstance(values, Sequence) and len(values) == 3 and all(map(_is_number, values)):
        red, green, blue = map(float, values)
        return red, green, blue
    raise UsageError.invalid(name, values, "three finite numbers (red, green, blue)")


def _is_number(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)


def _check_only(name: str, value: object, valid: str) -> None:
    if value != valid:
        raise UsageError.invalid(name, value, f"{valid!r} in this version of headfit")
