"""Files that headfit wrote, read again: they may be damaged, or made by somebody else.

What is wrong with one becomes a single error that names it. Numbers are finite, and so are those of
whole numbers that floats cannot hold: everything after may compute with them.
"""

from __future__ import annotations

import contextlib
import csv
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headfit.errors import DataError
from headfit.util import files

MOST_BYTES = 256 << 20
"""The largest record; a results.json of a thousand classes has 30 MB."""
DAMAGE: tuple[type[Exception], ...] = (
    *(OSError, EOFError, MemoryError, RuntimeError, AssertionError, AttributeError, TypeError),
    *(ValueError, LookupError, ArithmeticError, StopIteration, SyntaxError),
    *(csv.Error, struct.error, zlib.error, zipfile.BadZipFile),
)
"""What reading a damaged file may raise, here or in a library."""


def read_json(path: Path, most: int = MOST_BYTES, *, follow_links: bool = True) -> Any:
    """Read a JSON file of limited size.

    Args:
        path: the file.
        most: bytes that it may have.
        follow_links: whether it may be a link.

    Raises:
        OSError: it cannot be opened.
        DataError: it is no regular file, is too large, or is not JSON with finite numbers.
    """
    return parse_json(files.read_regular(path, most, follow_links=follow_links), path)


def parse_json(data: bytes, path: Path) -> Any:
    """Read the content of a JSON file; see :func:`read_json`."""
    try:
        return json.loads(
            data.decode("utf-8"), parse_constant=_refuse, parse_float=_finite, parse_int=_whole
        )
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{path}' is not valid JSON: {error}. Run compare again.") from error


def lacking(record: Any, shape: Mapping[str, Any]) -> list[str]:
    """Name the entries of a record that are absent or of another type.

    Args:
        record: content of a JSON file.
        shape: entry → type or types.

    Example:

    >>> lacking({"images": "3"}, {"images": int})
    ['images']
    """
    if not isinstance(record, dict):
        return list(shape)
    return [key for key, kind in shape.items() if not _is_of(record.get(key), kind)]


@contextlib.contextmanager
def reading(path: Path, what: str, *also: type[Exception]) -> Iterator[None]:
    """Turn whatever a damaged record leads to into one error that names its file.

    Args:
        path: the file.
        what: is wrong with it, after its name, as in "lacks values that the page shows".
        *also: further types of errors that its content may lead to.

    Raises:
        DataError: in place of any error in ``DAMAGE`` or of these types.
    """
    try:
        yield
    except (*DAMAGE, *also) as error:
        reason = " ".join(str(error).split())[:200]
        kind = type(error).__name__
        raise DataError(
            f"'{path}' {what} ({f'{kind}: {reason}' if reason else kind}): it may be damaged, or "
            "another version may have written it. Run compare again."
        ) from error


def _is_of(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and (not isinstance(value, bool) or kind is bool)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant[:20]} is not a finite number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _refuse(text)
    return number


def _whole(text: str) -> int:
    _finite(text)
    return int(text)
