"""Lists of image files: one name a line, or separated by zero bytes, read as they arrive."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from headfit.errors import UsageError

PIECE = 1 << 16
LONGEST = 1 << 20  # characters of one name; more is no list
_MARKS = {  # what begins a file in Unicode, and how the rest is to be read
    codecs.BOM_UTF8: ("utf-8-sig", "surrogateescape"),
    codecs.BOM_UTF16_LE: ("utf-16", "replace"),  # a list that PowerShell wrote
    codecs.BOM_UTF16_BE: ("utf-16", "replace"),
}


def list_file(path: Path) -> Iterator[str]:
    """Read a list of files, relative to the list, or else to the working folder.

    The first relative name decides which.

    Raises:
        UsageError: if it cannot be read, or is no list.
    """
    folder: str | None = None
    try:
        with path.open("rb", buffering=0) as stream:
            for name in split_names(stream, str(path)):
                if folder is None and not Path(name).is_absolute():
                    beside = (path.parent / name).exists() or not Path(name).exists()
                    folder = str(path.parent) if beside and path.parent != Path() else ""
                yield os.path.join(folder or "", name)  # noqa: PTH118  (keeps "./")
    except OSError as error:
        raise UsageError(f"The list '{path}' cannot be read ({error.strerror}).") from error


def standard_input() -> Iterator[str]:
    """Read names from standard input."""
    return split_names(sys.stdin.buffer, "standard input")


def split_names(stream: BinaryIO, what: str) -> Iterator[str]:
    """Split what a stream gives into names; empty lines are left out.

    Names are separated by zero bytes if one is in the first piece, else by line ends.

    Args:
        stream: bytes in UTF-8, in UTF-16 with a byte-order mark, or as file names come.
        what: is read, for the message.

    Raises:
        UsageError: if a name is far too long.
    """
    read = getattr(stream, "read1", stream.read)  # does not wait for a whole piece
    piece = read(PIECE)
    marked = (_MARKS[mark] for mark in _MARKS if piece.startswith(mark))
    encoding, errors = next(marked, (sys.getfilesystemencoding(), "surrogateescape"))
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    text = decoder.decode(piece)
    separator = "\0" if "\0" in text else "\n"
    while piece:
        *names, text = text.split(separator)
        yield from _clean(names, separator)
        if len(text) > LONGEST:
            raise UsageError(f"{what} is not a list of files: a line has over {LONGEST:,} bytes.")
        piece = read(PIECE)
        text += decoder.decode(piece, not piece)
    yield from _clean([text], separator)


def _clean(names: list[str], separator: str) -> Iterator[str]:
    if separator == "\0":
        return filter(None, names)
    return filter(None, (name.rstrip("\r") for name in names))
