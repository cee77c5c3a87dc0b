"""Output for terminals and pipes that cannot show every character."""

from __future__ import annotations

import codecs
import io
from typing import TextIO

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


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(PLAIN.get(each) or _escape(each) for each in lacking), error.end


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


codecs.register_error(NAME, _replace)
