"""Tensors of requests and answers: as JSON, and as bytes behind it (binary tensor data)."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Sequence

import numpy as np

from headfit.serve.errors import Refused
from headfit.serve.inference.document import Span, behind_text, text_of

CHUNK = 200_000  # bytes of JSON that are read at once; each takes 50 bytes of memory
Shape = tuple[int, ...]

_OTHER = re.compile(rb"[^0-9 \t\r\n,\[\]]")
_SPACE = re.compile(rb"[ \t\r\n]*+")
_ZERO, _LENGTH = ord("0"), 4


def pixels_from_json(body: bytes, span: Span, shape: Shape, name: str) -> np.ndarray:
    """Read whole numbers from 0 to 255, flat or nested as their shape says.

    It makes no object for a number, and takes a bounded amount of memory beside the numbers.

    Args:
        body: the request.
        span: where the array is in it.
        shape: of the tensor; all but the first are not zero.
        name: of the tensor, for messages.

    Returns:
        uint8, of that shape.

    Raises:
        Refused: 400 if it is not a JSON array of as many such numbers, nested in another way.
    """
    count = math.prod(shape)
    # each number takes a digit, and a comma or bracket: nothing is made for a shape alone
    if 2 * count + 1 > span.stop - span.start and count:
        raise _why_not_pixels(body, span, shape, name)
    nested = body.count(b"[", span.start, span.stop) > 1
    skeleton = _skeleton(shape if nested else (count,))
    values = np.empty(count, np.uint8)
    text = np.frombuffer(body, np.uint8)
    at, passed, filled = span.start, 0, 0
    while at < span.stop:
        stop = body.find(b",", at + CHUNK, span.stop)
        stop = span.stop if stop < 0 else stop
        read = _read_chunk(text[at:stop]) if stop - at <= 2 * CHUNK else None
        if read is None or not skeleton.startswith(read[0], passed):
            raise _why_not_pixels(body, span, shape, name)
        marks, numbers = read
        values[filled : filled + len(numbers)] = numbers
        at, passed, filled = stop, passed + len(marks), filled + len(numbers)
    if passed != len(skeleton):
        raise _why_not_pixels(body, span, shape, name)
    return values.reshape(shape)


def _skeleton(shape: Shape) -> bytes:
    """Write an array of this shape, of zeros, as JSON without spaces."""
    inner = b"0"
    for size in reversed(shape):
        inner = b"[" + b",".join([inner] * size) + b"]"
    return inner


def _read_chunk(text: np.ndarray) -> tuple[bytes, np.ndarray] | None:
    """Give the text with a zero for each number and no spaces, and the numbers; None if too large.

    Args:
        text: uint8 (bytes,); does not begin or end within a number.
    """
    digit = text - np.uint8(_ZERO) < 10
    first, last = digit.copy(), digit.copy()
    first[1:] &= ~digit[:-1]
    last[:-1] &= ~digit[1:]
    space = (text == 32) | (text == 9) | (text == 10) | (text == 13)
    marks = np.where(first, np.uint8(_ZERO), text)[first | ~(digit | space)].tobytes()
    starts, ends = np.flatnonzero(first), np.flatnonzero(last)
    width = ends - starts + 1
    if (width > 3).any() or ((width > 1) & (text[starts] == _ZERO)).any():
        return None
    figures = text.astype(np.int16) - _ZERO
    numbers = figures[ends]
    for place in (1, 2):
        more = width > place
        numbers[more] += 10**place * figures[ends[more] - place]
    return None if (numbers > 255).any() else (marks, numbers.astype(np.uint8))


def _why_not_pixels(body: bytes, span: Span, shape: Shape, name: str) -> Refused:
    """Say what is wrong with an array that cannot be read."""
    if other := _OTHER.search(body, *span):
        return Refused(
            f"The data of '{name}' must be whole numbers from 0 to 255. "
            f"Received: {other[0].decode('latin-1')!a}, at byte {other.start()}.",
        )
    count, values = math.prod(shape), body.count(b",", *span) + 1
    if values != count:
        return Refused(
            f"The data of '{name}' are {values:,} values, but its shape {list(shape)} has "
            f"{count:,}.",
        )
    return Refused(
        f"The data of '{name}' must be a JSON array of whole numbers from 0 to 255, flat or nested "
        f"as its shape {list(shape)} says.",
    )


def bytes_from_json(body: bytes, span: Span, count: int, name: str, coded: bool) -> list[bytes]:
    """Read strings.

    Args:
        body: the request.
        span: where the array is in it.
        count: how many the shape says.
        name: of the tensor, for messages.
        coded: whether the strings are base64; otherwise an element is its string in UTF-8.

    Raises:
        Refused: 400 if it is not a flat JSON array of as many strings.
    """
    found: list[bytes] = []
    at = _pass_space(body, span.start + 1)
    while body[at : at + 1] != b"]" or at < span.stop - 1:
        if found:
            if body[at : at + 1] != b",":
                raise _not_strings(name, len(found))
            at = _pass_space(body, at + 1)
        if body[at : at + 1] != b'"' or len(found) == count:
            raise _not_strings(name, len(found)) if len(found) < count else _count(name, count)
        stop = behind_text(body, at, span.stop)
        text = text_of(body, at, stop)
        found.append(_decoded(text, name, len(found)) if coded else text.encode("utf-8"))
        at = _pass_space(body, stop)
    if len(found) != count:
        raise _count(name, count, len(found))
    return found


def _pass_space(body: bytes, at: int) -> int:
    return _SPACE.match(body, at).end()  # type: ignore[union-attr]


def _decoded(text: str, name: str, index: int) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(f"Element {index} of '{name}' is not valid base64.") from None


def _not_strings(name: str, index: int) -> Refused:
    return Refused(
        f"The data of '{name}' must be a flat JSON array of strings. Element {index} is none."
    )


def _count(name: str, count: int, received: int | None = None) -> Refused:
    what = "more" if received is None else f"{received:,}"
    return Refused(
        f"The data of '{name}' are {what} values, but its shape [{count}] has {count:,}."
    )


def pixels_from_binary(data: memoryview, shape: Shape, name: str) -> np.ndarray:
    """Read uint8, row by row, without a copy.

    Raises:
        Refused: 400 if there are more or fewer bytes than the shape says.
    """
    count = math.prod(shape)
    if len(data) != count:
        raise Refused(
            f"The binary data of '{name}' are {len(data):,} bytes, but its shape {list(shape)} "
            f"has {count:,}.",
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


def bytes_from_binary(data: memoryview, count: int, name: str) -> list[bytes]:
    """Read elements of bytes, each behind its length in four bytes, the least significant first.

    Raises:
        Refused: 400 if an element is cut off, or there are more or fewer than the shape says.
    """
    found: list[bytes] = []
    at = 0
    while at < len(data):
        if len(found) == count:
            raise Refused(
                f"The binary data of '{name}' go on behind the {count:,} elements of its shape."
            )
        start = at + _LENGTH
        at = start + int.from_bytes(data[at:start], "little")
        if start > len(data) or at > len(data):
            raise Refused(f"Element {len(found)} of '{name}' is cut off.")
        found.append(bytes(data[start:at]))
    if len(found) != count:
        raise Refused(
            f"The binary data of '{name}' are {len(found):,} elements, but its shape [{count}] has "
            f"{count:,}.",
        )
    return found


def to_json(values: np.ndarray | Sequence[str]) -> list[float] | list[str]:
    """Give the data of an output as JSON has them, flat."""
    if isinstance(values, np.ndarray):
        numbers: list[float] = values.ravel().tolist()
        return numbers
    return list(values)


def to_binary(values: np.ndarray | Sequence[str]) -> bytes:
    """Give the data of an output as bytes."""
    if isinstance(values, np.ndarray):
        return values.astype("<f4").tobytes()
    coded = [value.encode("utf-8") for value in values]
    return b"".join(len(each).to_bytes(_LENGTH, "little") + each for each in coded)
