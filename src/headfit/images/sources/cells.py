"""Cells of label columns: what each can be read as, and which a column holds."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from headfit.images.sources.finder import UnusableError, is_missing, whole
from headfit.util.tables import western

_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
_PADDED = re.compile(r"[+-]?0\d")  # as names of things are: 007
_FLAGS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}
Row = int | str


def text_of(role: str, cell: Any) -> str:
    """Return a cell as text; equal texts are one object.

    Args:
        role: of the column, for the message.
        cell: text, a number, or what a table holds in its place.

    Raises:
        UnusableError: it is empty, or a list.
    """
    if is_list(cell) or isinstance(cell, dict):
        raise UnusableError(f"a {role} that is no text", "")
    if is_missing(cell):
        raise UnusableError(f"no {role}", "")
    text = western(str(whole(cell))).strip()
    if not text:
        raise UnusableError(f"no {role}", "")
    return sys.intern(text)


def labels_of(cell: Any, separator: str) -> tuple[str, ...]:
    """Return the labels that a cell holds, sorted: a text with separators, or a list of texts.

    Raises:
        UnusableError: a label is itself a list.
    """
    if is_empty(cell):
        return ()
    parts = list(cell) if is_list(cell) else text_of("label", cell).split(separator)
    return tuple(sorted({text_of("label", each) for each in parts if not is_empty(each)}))


def as_number(cell: Any, *, padded: bool = True) -> float | None:
    """Return a cell as a finite number; None if it is none.

    A comma is read as a decimal point, as tables from half of Europe have it.

    Args:
        cell: text or a number.
        padded: whether a text such as ``007`` is one.
    """
    if isinstance(cell, str):
        text = cell.strip()
        if not _NUMBER.fullmatch(text) or (not padded and _PADDED.match(text)):
            return None
        number = float(text.replace(",", "."))
    elif hasattr(cell, "__float__") and not is_list(cell):
        try:
            number = float(cell)
        except (OverflowError, TypeError, ValueError):
            return None
    else:
        return None
    return number if isfinite(number) else None


def as_flag(cell: Any) -> int | None:
    """Return 0 or 1 for a cell that says no or yes; None if it says neither."""
    if isinstance(cell, str):
        return _FLAGS.get(cell.strip().lower())
    number = as_number(cell)
    return int(number) if number in (0, 1) else None


def is_list(cell: Any) -> bool:
    """Whether a cell holds several values."""
    return isinstance(cell, list | tuple | set | frozenset) or bool(getattr(cell, "ndim", 0))


def is_empty(cell: Any) -> bool:
    """Whether a cell holds nothing: an empty list, too."""
    if is_list(cell):
        return len(cell) == 0
    return is_missing(cell) or (isinstance(cell, str) and not cell.strip())


@dataclass
class Cells:
    """The different cells of a column.

    Attributes:
        name: of the column.
        seen: cell → the first row that holds it, and how many do, as a list; lists as tuples.
        missing: rows whose cell is empty.
    """

    name: str
    seen: dict[Any, list[Any]] = field(default_factory=dict)
    missing: list[Row] = field(default_factory=list)

    def add(self, row: Row, cell: Any) -> None:
        """Count a cell."""
        if is_empty(cell):
            self.missing.append(row)
            return
        key = tuple(map(str, cell)) if is_list(cell) else cell
        key = key if isinstance(key, Hashable) else str(key)
        self.seen.setdefault(key, [row, 0])[1] += 1

    @property
    def count(self) -> int:
        """Number of cells that are not empty."""
        return sum(count for _, count in self.seen.values())

    @functools.cached_property
    def numbers(self) -> dict[float, int]:
        """How many cells hold each number; those that look like names are none."""
        counts: dict[float, int] = {}
        for cell, (_, count) in self.seen.items():
            number = as_number(cell, padded=False)
            if number is not None:
                counts[number] = counts.get(number, 0) + count
        return counts

    @property
    def flags(self) -> int:
        """Number of cells that are 0 or 1."""
        return sum(count for cell, (_, count) in self.seen.items() if as_flag(cell) is not None)

    @property
    def are_lists(self) -> bool:
        """Whether all cells are lists."""
        return bool(self.seen) and all(isinstance(cell, tuple) for cell in self.seen)

    def with_separator(self, separator: str) -> Any:
        """Return the first cell that is several labels rather than one; None if there is none."""
        joined = (cell for cell in self.seen if isinstance(cell, str) and separator in cell)
        # a number with a decimal comma is one number, whatever separates labels
        return next((each for each in joined if as_number(each) is None), None)


def count_cells(names: Sequence[str], rows: Iterable[tuple[Row, Sequence[Any]]]) -> list[Cells]:
    """Count the cells of columns.

    Args:
        names: of the columns.
        rows: the number of each row, and its cells.
    """
    columns = [Cells(name) for name in names]
    for row, cells in rows:
        for column, cell in zip(columns, cells, strict=True):
            # of millions of cells, most are texts that were seen before
            entry = column.seen.get(cell) if cell.__class__ is str else None
            if entry is None:
                column.add(row, cell)
            else:
                entry[1] += 1
    return columns
