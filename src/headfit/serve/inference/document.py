"""Reads the JSON of an inference request within bounds: tensors stay text, all else must be small.

A general parser makes 10 to 30 bytes of objects for each byte of a hostile document, such as a
million empty lists. This one makes objects only of what describes the tensors, which is short; the
``data`` of a tensor is skipped in place and given as a range of bytes.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NamedTuple

from headfit.serve.errors import Refused

VALUES = 10_000
"""Most values in a request, those of its tensors not counted."""
TEXT_BYTES = 1_000_000
"""Most bytes of a request, those of its tensors not counted."""
DEPTH = 16
"""Most arrays and objects within each other, those of its tensors not counted."""
NUMBER_CHARACTERS = 64

_TENSOR_DEPTH = 3  # request, list of inputs, input
_SPACE = re.compile(rb"[ \t\r\n]*+")
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*+)(\.[0-9]++)?+([eE][-+]?[0-9]++)?+")
_PLAIN = re.compile(rb'[^"\\]*+')  # json.loads finds control characters
_NO_TEXT = re.compile(rb'[^"{}]*+')
_WORDS = {b"true": True, b"false": False, b"null": None}


class Span(NamedTuple):
    """Where the array of a tensor's data is in the request, from ``[`` to behind ``]``."""

    start: int
    stop: int


def read_object(body: bytes, stop: int) -> dict[str, Any]:
    """Read a JSON object; the ``data`` of its inputs become spans.

    A span is only known to begin with a bracket, to close as many as it opens, and to hold no
    object.

    Args:
        body: the request.
        stop: where the object ends.

    Raises:
        Refused: 400 if it is not a JSON object in UTF-8, has a key twice, a number that is not
            finite, or more than the limits of this module; says where.
    """
    reader = _Reader(body, stop)
    value = reader.value(1, "")
    reader.skip_space()
    if reader.at < stop:
        raise reader.error("unexpected text after the object")
    if not isinstance(value, dict):
        raise Refused("The request must be a JSON object.")
    return value


class _Reader:
    def __init__(self, body: bytes, stop: int) -> None:
        self.body, self.stop, self.at = body, stop, 0
        self._values = 0
        self._skipped = 0  # bytes of tensors

    @property
    def next(self) -> bytes:
        """The next character; nothing at the end."""
        return self.body[self.at : min(self.at + 1, self.stop)]

    def value(self, depth: int, key: str) -> Any:
        """Read the value that comes next, within ``depth - 1`` others, under this key."""
        self.skip_space()
        self.count()
        first = self.next
        if first == b"[" and key == "data" and depth == _TENSOR_DEPTH + 1:
            return self.span()
        if first in (b"{", b"["):
            if depth > DEPTH:
                raise self.error(f"more than {DEPTH} arrays and objects within each other")
            self.at += 1
            return self.members(depth) if first == b"{" else self.elements(depth)
        if first == b'"':
            return self.text()
        return self.scalar()

    def members(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not self.closes(b"}", bool(found)):
            if self.next != b'"':
                raise self.error("expected a key in double quotes")
            key = self.text()
            if key in found:
                raise self.error(f"the key {shown(key)} appears twice")
            self.expect(b":")
            found[key] = self.value(depth + 1, key)
        return found

    def elements(self, depth: int) -> list[Any]:
        found: list[Any] = []
        while not self.closes(b"]", bool(found)):
            found.append(self.value(depth + 1, ""))
        return found

    def closes(self, bracket: bytes, after_one: bool) -> bool:
        """Pass the closing bracket, or the comma before the next of several."""
        self.skip_space()
        if self.next == bracket:
            self.at += 1
            return True
        if after_one:
            self.expect(b",")
        return False

    def expect(self, character: bytes) -> None:
        self.skip_space()
        if self.next != character:
            raise self.error(f"expected '{character.decode()}'")
        self.at += 1
        self.skip_space()

    def scalar(self) -> Any:
        for word, value in _WORDS.items():
            if self.body.startswith(word, self.at, self.stop):
                self.at += len(word)
                return value
        match = _NUMBER.match(self.body, self.at, self.stop)
        if match is None:
            raise self.error("expected a JSON value")
        if len(match[0]) > NUMBER_CHARACTERS:
            raise self.error(f"a number of more than {NUMBER_CHARACTERS} characters")
        number = int(match[0]) if match[1] is None and match[2] is None else float(match[0])
        if not math.isfinite(number):
            raise self.error("a number that is not finite")
        self.at = match.end()
        return number

    def text(self) -> str:
        start = self.at
        self.pass_text()
        self.check_length()
        return text_of(self.body, start, self.at)

    def pass_text(self) -> None:
        """Go behind the closing quotation mark."""
        self.at = behind_text(self.body, self.at, self.stop)

    def span(self) -> Span:
        """Go behind an array without reading it."""
        start, open_brackets = self.at, 0
        while True:
            begin = self.at
            self.at = _NO_TEXT.match(self.body, begin, self.stop).end()  # type: ignore[union-attr]
            opened = self.body.count(b"[", begin, self.at)
            open_brackets += opened - self.body.count(b"]", begin, self.at)
            if open_brackets <= 0 or self.next != b'"':
                break
            self.count()
            self.pass_text()
        if open_brackets:
            raise self.error("the data of a tensor are not a JSON array of values")
        # a comma and space before the next key have been passed, too
        self.at = self.body.rfind(b"]", start, self.at) + 1
        self._skipped += self.at - start
        return Span(start, self.at)

    def skip_space(self) -> None:
        self.at = _SPACE.match(self.body, self.at, self.stop).end()  # type: ignore[union-attr]
        self.check_length()

    def count(self) -> None:
        self._values += 1
        if self._values > VALUES:
            raise self.error(f"more than {VALUES:,} values beside the data of the tensors")

    def check_length(self) -> None:
        if self.at - self._skipped > TEXT_BYTES:
            raise self.error(f"more than {TEXT_BYTES:,} bytes beside the data of the tensors")

    def error(self, problem: str) -> Refused:
        return Refused(f"The request cannot be read as JSON: {problem}, at byte {self.at}.")


def behind_text(body: bytes, at: int, stop: int) -> int:
    """Find the place behind a string that begins at ``at`` with its quotation mark.

    Raises:
        Refused: 400 if it does not end.
    """
    begin, at = at, at + 1
    while at < stop:
        at = _PLAIN.match(body, at, stop).end()  # type: ignore[union-attr]
        if at < stop and body[at : at + 1] == b'"':
            return at + 1
        at += 2  # an escaped character
    raise Refused(f"The request cannot be read as JSON: a string does not end, at byte {begin}.")


def text_of(body: bytes, start: int, stop: int) -> str:
    """Decode a JSON string.

    Raises:
        Refused: 400 if it is not one.
    """
    try:
        text: str = json.loads(body[start:stop].decode("utf-8"))
        text.encode("utf-8")  # half a surrogate pair
    except ValueError:  # UnicodeError and JSONDecodeError are ValueErrors
        raise Refused(
            f"The request cannot be read as JSON: a string is not valid, at byte {start}.",
        ) from None
    return text


def shown(value: object) -> str:
    """Write a value of a request into a message: short, on one line, in ASCII."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."
