"""Text for terminals and pipes that lack characters, or room."""

from __future__ import annotations

import codecs
import io
from typing import TextIO

from rich.cells import cell_len

NAME = "headfit.plain"
PLAIN = {
    "→": ">",
    "≈": "~",
    "×": "x",
    "±": "+-",
    "–": "-",
    "−": "-",
    "—": "-",
    "─": "-",
    "…": "...",
    "·": "-",
    "τ": "tau",
    "δ": "delta",
    "α": "alpha",
    "λ": "lambda",
    "‖": "||",
    "²": "^2",
    "≤": "<=",
    "≥": ">=",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
}


def never_fails(stream: TextIO) -> TextIO:
    """Make a stream replace characters that its encoding lacks, instead of raising an error.

    Characters without a replacement, such as odd bytes of a file name, become ``\\uXXXX``.
    """
    if isinstance(stream, io.TextIOWrapper) and stream.errors != NAME:
        stream.reconfigure(errors=NAME)
    return stream


def shorten(text: str, cells: int, *, ascii_only: bool = False) -> str:
    """Leave out the middle of what is too long: the end of a candidate's name is its head.

    Args:
        text: one line.
        cells: of the terminal; the result takes no more.
        ascii_only: whether the gap is shown by full stops instead of an ellipsis.
    """
    if cell_len(text) <= cells:
        return text
    gap = ".." if ascii_only else "…"
    room = cells - len(gap)
    if room < 2:
        return _first(text, cells)
    tail = _first(text[::-1], room - room // 2)[::-1]
    return f"{_first(text, room // 2)}{gap}{tail}"


def _first(text: str, cells: int) -> str:
    """Give as many characters from the start as fit."""
    taken = 0
    for number, character in enumerate(text):
        taken += cell_len(character)
        if taken > cells:
            return text[:number]
    return text


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(PLAIN.get(each) or _escape(each) for each in lacking), error.end


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


codecs.register_error(NAME, _replace)
