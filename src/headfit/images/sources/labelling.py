"""What label columns mean: one class, several labels or numbers for each image.

The user says it with ``target``, or the cells of the whole column show it:

- text is a class; text with separators, and lists, are several labels;
- whole numbers are classes where they are few, or count from 0 or 1 without a gap; other numbers
  are numbers;
- several columns of 0 and 1 are labels, other columns numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headfit.errors import DataError, UsageError
from headfit.images.sources.cells import (
    Cells,
    Row,
    as_flag,
    as_number,
    labels_of,
    text_of,
)
from headfit.images.sources.source import quote
from headfit.images.targets import CLASS, KINDS, LABELS, NUMBER, SEPARATOR
from headfit.util.nouns import counted

# of a column of whole numbers: more different ones are hardly classes, unless they count without
# gap; a class has several images; of fewer images than this, none can be known
MOST_CLASSES, SEVERAL, FEW_IMAGES = 20, 3, 20
# share of other cells that are taken for mistakes
MISTAKES = 0.1
_SHOWN, _LONGEST = 3, 60
Label = str | tuple[str, ...] | tuple[float, ...]
"""A class, the labels or the numbers of an image."""


@dataclass(frozen=True)
class Place:
    """Where label columns are, in words.

    Attributes:
        name: of the table, quoted.
        row: pattern of the name of a row.
        listed: whether it is no table but a list: then its only column has no name.
    """

    name: str
    row: str = "row {}"
    listed: bool = False

    def column(self, name: str) -> str:
        """Name a column, at the start of a sentence."""
        return self.name if self.listed else f"Column {quote(name)} of {self.name}"

    def rows(self, rows: Sequence[Row]) -> str:
        """Name some rows, the first of many."""
        shown = ", ".join(self.row.format(each) for each in rows[:_SHOWN])
        return shown + (", …" if len(rows) > _SHOWN else "")


@dataclass(frozen=True)
class Labelling:
    """How cells become targets.

    Attributes:
        kind: ``"class"``, ``"labels"`` or ``"number"``.
        names: of the numbers, or of the labels that have a column each; else empty.
        separator: what stands between labels in a cell.
        notes: sentences about what was inferred.
    """

    kind: str = CLASS
    names: tuple[str, ...] = ()
    separator: str = SEPARATOR
    notes: tuple[str, ...] = ()

    def read(self, cells: Sequence[Any]) -> Label:
        """Return the target that the label cells of a row hold.

        Raises:
            UnusableError: there is none.
        """
        if self.kind == CLASS:
            return text_of("label", cells[0])
        if self.kind == NUMBER:
            return tuple(as_number(cell) or 0.0 for cell in cells)  # all were checked
        if self.names:
            flags = zip(self.names, map(as_flag, cells), strict=True)
            return tuple(sorted(name for name, flag in flags if flag))
        return labels_of(cells[0], self.separator)

    def joined(self, one: Label, other: Label) -> Label | None:
        """Return the labels of two rows of one image; None if rows contradict each other."""
        if self.kind != LABELS or self.names:
            return None
        return tuple(sorted({*map(str, one), *map(str, other)}))


def check_target(target: Any, separator: Any) -> None:
    """Refuse what is no kind of target, or no separator.

    Raises:
        UsageError: names the argument.
    """
    if not (target is None or target in KINDS):
        raise UsageError.invalid("target", target, f"one of {', '.join(KINDS)}")
    if not isinstance(separator, str) or not separator.strip():
        raise UsageError.invalid("label_separator", separator, "a text such as ';'")


def decide(
    columns: Sequence[Cells], place: Place, target: str | None = None, separator: str = SEPARATOR
) -> Labelling:
    """Decide what label columns mean, and check that all their cells can mean it.

    Args:
        columns: the label columns.
        place: where they are, for messages.
        target: what the user says; None lets the cells decide.
        separator: what stands between labels in a cell.

    Raises:
        UsageError: classes in several columns.
        DataError: a cell of a number is empty or none, a cell of a label column is not 0 or 1.
    """
    kind, note = (target, "") if target else _inferred(columns, place, separator)
    names = tuple(each.name for each in columns)
    if kind == CLASS:
        if len(columns) > 1:
            expected = "one column where the target is class"
            raise UsageError.invalid("label_column", list(names), expected)
        return Labelling(CLASS, notes=_told(note))
    doubt = "" if target else " If these are classes, set `target='class'`."
    if kind == NUMBER:
        for each in columns:
            _check(each, place, "a number", as_number, doubt)
        return Labelling(NUMBER, names, notes=_told(note, *_commas(columns, place)))
    if len(columns) == 1 and (columns[0].flags < columns[0].count or not columns[0].seen):
        return Labelling(LABELS, (), separator, _told(note))
    for each in columns:
        _check(each, place, "0 or 1", as_flag, " For numbers, set `target='number'`.")
    return Labelling(LABELS, names, separator, _told(note))


def _inferred(columns: Sequence[Cells], place: Place, separator: str) -> tuple[str, str]:
    """Return the kind that the cells show, and a sentence about it if another could be meant."""
    if len(columns) == 1:
        return _of_one(columns[0], place, separator)
    if all(each.flags >= (1 - MISTAKES) * each.count and each.seen for each in columns):
        return LABELS, (
            f"{len(columns)} columns of {place.name} hold 0 and 1: several labels for each image. "
            "For numbers, set `target='number'`."
        )
    return NUMBER, ""


def _of_one(cells: Cells, place: Place, separator: str) -> tuple[str, str]:
    where = place.column(cells.name)
    as_class = "For one class in each cell, set `target='class'`."
    if cells.are_lists:
        return LABELS, f"{where} holds lists: several labels for each image."
    if (joined := cells.with_separator(separator)) is not None:
        return LABELS, (
            f"{where} holds several labels for each image, separated by {quote(separator)}, as in "
            f"{quote(_short(joined))}. {as_class}"
        )
    counts, total = cells.numbers, cells.count
    numeric = sum(counts.values())
    if not counts or total - numeric > MISTAKES * total:
        return CLASS, ""
    low, high = min(counts), max(counts)
    span = f"from {low:.6g} to {high:.6g}"
    rare = sum(count < SEVERAL for count in counts.values()) > len(counts) / 2
    is_whole = all(number.is_integer() for number in counts)
    if is_whole and not _too_many(counts, rare) and not (rare and total >= FEW_IMAGES):
        different = f"{len(counts)} different whole numbers, {span}"
        asks = f"{where} holds {different}, taken as classes. For a number, set `target='number'`."
        return CLASS, asks if len(counts) > 2 else ""
    if numeric < total and not rare and is_whole:
        return CLASS, ""
    return (
        NUMBER,
        f"{where} holds the number to predict, {span}. For classes, set `target='class'`.",
    )


def _too_many(counts: dict[float, int], rare: bool) -> bool:
    """Whether whole numbers are hardly classes."""
    without_gap = min(counts) in (0, 1) and max(counts) - min(counts) + 1 == len(counts)
    return len(counts) > MOST_CLASSES and (rare or not without_gap)


def _check(column: Cells, place: Place, what: str, read: Any, doubt: str) -> None:
    """Check that a cell of each row can be read.

    Raises:
        DataError: names the column, the rows and the first value.
    """
    where = place.column(column.name)
    wrong = [(row, cell) for cell, (row, _) in column.seen.items() if read(cell) is None]
    if wrong:
        row, cell = wrong[0]
        more = sum(column.seen[cell][1] for _, cell in wrong) - 1
        others = f" and {counted(more, 'other row')}" if more else ""
        raise DataError(
            f"{where} must hold {what} in each row. Received: {quote(_short(str(cell)))} in "
            f"{place.row.format(row)}{others}. Correct this or remove these rows.{doubt}"
        )
    if column.missing:
        count = counted(len(column.missing), "row")
        raise DataError(
            f"{where} must hold {what} in each row. Received: {count} without, "
            f"{place.rows(column.missing)}. Fill them in or remove these rows.{doubt}"
        )


def _commas(columns: Sequence[Cells], place: Place) -> list[str]:
    """Say where a comma was taken for a decimal point."""
    for each in columns:
        for cell in each.seen:
            if isinstance(cell, str) and "," in cell:
                shown = f"{quote(cell)} is {as_number(cell):.6g}"
                return [f"{place.column(each.name)} has decimal commas: {shown}."]
    return []


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _told(*notes: str) -> tuple[str, ...]:
    return tuple(filter(None, notes))
