"""The preprocessing record: how an image file becomes the array that a backbone takes.

It travels with the features, with a saved classifier and with every export, so that training and
serving cannot diverge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from numbers import Real
from typing import Any

import numpy as np

from headfit.errors import ModelFileError, UsageError

MAX_SIDE = 4096
DECODER = "pillow-draft/1"
RESIZE = "stretch"


def check_side(name: str, value: object) -> int:
    """Return an image side that is possible.

    Args:
        name: what it is the side of, for instance ``"height"``.
        value: the side received, in pixels.

    Raises:
        UsageError: it is not a whole number from 1 to ``MAX_SIDE``.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_SIDE:
        raise UsageError(f"{name} is {value!r}; expected a whole number from 1 to {MAX_SIDE}.")
    return value


@dataclass(frozen=True)
class Contract:
    """How an image file becomes the array that a backbone takes (the preprocessing record).

    Attributes:
        height: rows of the network's input, in pixels.
        width: columns of the network's input, in pixels.
        scale: per channel, in RGB order: network input = pixel * scale + offset, pixels 0..255.
        offset: per channel, in RGB order.
        bgr: whether the network takes the channels reversed, *after* scale and offset.
        resize: how the picture is brought to height and width; ``"stretch"`` is the only way.
        decoder: the decoding rules, numbered, because other rules give other pixels.

    Raises:
        UsageError: a value is impossible; names it and what is expected.
    """

    height: int
    width: int
    scale: tuple[float, float, float]
    offset: tuple[float, float, float]
    bgr: bool = False
    resize: str = RESIZE
    decoder: str = DECODER

    def __post_init__(self) -> None:
        check_side("height", self.height)
        check_side("width", self.width)
        # Plain floats, so that equal contracts have equal text and equal digests.
        object.__setattr__(self, "scale", _triple("scale", self.scale))
        object.__setattr__(self, "offset", _triple("offset", self.offset))
        if not isinstance(self.bgr, bool):
            raise UsageError(f"bgr is {self.bgr!r}; expected true or false.")
        _check_only("resize", self.resize, RESIZE)
        _check_only("decoder", self.decoder, DECODER)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain data that JSON can hold."""
        return {**asdict(self), "scale": list(self.scale), "offset": list(self.offset)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Contract:
        """Rebuild a record from what ``to_dict`` gave, with nothing missing and nothing more.

        Raises:
            ModelFileError: a key is unknown or missing, or a value is impossible.
        """
        if not isinstance(data, Mapping):
            raise ModelFileError(
                f"The preprocessing record is a {type(data).__name__}; expected an object."
            )
        names = {field.name for field in fields(cls)}
        for problem, keys in (("unknown", set(data) - names), ("missing", names - set(data))):
            if keys:
                listed = ", ".join(sorted(map(repr, keys)))
                raise ModelFileError(
                    f"The preprocessing record has {problem} keys: {listed}; "
                    f"expected exactly {', '.join(sorted(names))}."
                )
        try:
            return cls(**data)
        except UsageError as error:
            raise ModelFileError(f"The preprocessing record cannot be used: {error}") from error

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Turn decoded pixels into network input: the reference that every engine must match.

        Args:
            pixels: (n, height, width, 3), uint8 or float, RGB, 0..255.

        Returns:
            float32 (n, height, width, 3), channels in the network's order.

        Raises:
            UsageError: the shape is another one.
        """
        expected = (self.height, self.width, 3)
        if pixels.ndim != 4 or pixels.shape[1:] != expected:
            raise UsageError(f"pixels have shape {pixels.shape}; expected (n, *{expected}).")
        values = np.multiply(pixels, np.array(self.scale, np.float32), dtype=np.float32)
        values += np.array(self.offset, np.float32)
        return np.ascontiguousarray(values[..., ::-1]) if self.bgr else values


def _triple(name: str, values: object) -> tuple[float, float, float]:
    """Return three finite floats, or say what was found instead."""
    if isinstance(values, Sequence) and len(values) == 3 and all(map(_is_number, values)):
        red, green, blue = map(float, values)
        return red, green, blue
    raise UsageError(f"{name} is {values!r}; expected three finite numbers (red, green, blue).")


def _is_number(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)


def _check_only(name: str, value: object, known: str) -> None:
    if value != known:
        raise UsageError(f"{name} is {value!r}; this version of headfit knows only {known!r}.")
