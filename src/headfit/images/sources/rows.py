"""The rows of a table: each is an image, or has a fault that is counted and named."""

from __future__ import annotations

import functools
import os
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from headfit.images.decode import IMAGE_SUFFIXES
from headfit.images.sources.columns import Columns
from headfit.images.sources.source import TRAIN, Listing, Skipped, quote
from headfit.images.sources.splits import split_roles
from headfit.util.tables import Table, western

SHOWN = 3  # rows of a kind of fault that are named
NO_FILE, OUTSIDE = "no such file", "a path outside the root"
_SAME, _CONTRADICTS = "repeats another row", "contradicts another row of its image"


class Fault(NamedTuple):
    """Why a row is not used: its number, what is wrong with it, and what it holds."""

    row: int
    reason: str
    value: str


class Facts(NamedTuple):
    """What a row says about its image."""

    label: str
    split: str
    group: str | None
    weight: float


class UnusableError(Exception):
    """A row has a fault; the arguments are its reason and what the row holds."""


@dataclass
class Rows:
    """The rows of a table, checked.

    Attributes:
        table: the name of the table.
        root: the folder that its paths are relative to.
        used: image → what its row says.
        faults: of the rows that are not used.
        count: number of rows that are not empty.
        unlisted: images beside those of the table that have no row.
    """

    table: str
    root: Path
    used: dict[str, Facts] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    count: int = 0
    unlisted: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, table: Table, columns: Columns, root: Path) -> Rows:
        """Read and check all rows.

        Args:
            table: the table.
            columns: the column of each role.
            root: the folder that paths are relative to, and must not lead out of.
        """
        named = columns.named()
        cells = dict(zip(named, table.read(list(named.values())), strict=True))
        rows = cls(table.name, root)
        rows._check(cells, table.first_row)
        rows._look_beside()
        return rows

    def listing(self, columns: Columns, notes: Sequence[str]) -> Listing:
        """List the images, sorted by class and then path."""
        images = sorted(self.used.items(), key=lambda image: (image[1].label, image[0]))
        facts = [each for _, each in images]
        return Listing(
            [path for path, _ in images],
            [each.label for each in facts],
            [each.split for each in facts],
            [each.group for each in facts] if columns.group else None,
            np.array([each.weight for each in facts]) if columns.weight else None,
            skipped=[
                Skipped(
                    each.value or f"row {each.row}",
                    f"{each.reason} (row {each.row})",
                    is_told=True,
                )
                for each in self.faults
            ],
            notes=notes,
        )

    def in_words(self) -> list[str]:
        """Count the faults and name the first of each kind; nothing if there are none."""
        kinds: dict[str, list[Fault]] = defaultdict(list)
        for each in self.faults:
            kinds[each.reason].append(each)
        parts = [f"{len(faults)} × {kind} ({_shown(faults)})" for kind, faults in kinds.items()]
        lines = []
        if parts:
            lines.append(
                f"{len(self.faults)} of {self.count} rows of {quote(self.table)} are left out: "
                f"{', '.join(parts)}"
            )
        if self.unlisted:
            names = ", ".join(map(quote, self.unlisted[:SHOWN]))
            more = ", …" if len(self.unlisted) > SHOWN else ""
            lines.append(
                f"{quote(self.table)} has no row for {len(self.unlisted)} images beside those of "
                f"its rows: {names}{more}"
            )
        return lines

    def _check(self, cells: Mapping[str, Sequence[Any]], first_row: int) -> None:
        """Sort rows into images and faults."""
        nothing = [None] * len(cells["path"])
        roles = ("path", "label", "split", "group", "weight")
        columns = [cells.get(role, nothing) for role in roles]
        finder, reader = Finder(self.root), FactsReader("split" in cells, "weight" in cells)
        number: dict[str, int] = {}  # of the row of an image
        contradicting: dict[str, list[int]] = {}
        for row, (path, *rest) in enumerate(zip(*columns, strict=True), first_row):
            named = isinstance(path, str) and path  # most rows are: the quick question first
            if not named and all(_is_missing(each) for each in (path, *rest)):
                continue
            self.count += 1
            try:
                name, facts = finder.find(path), reader.facts(*rest)
            except UnusableError as fault:
                self.faults.append(Fault(row, *fault.args))
                continue
            other = self.used.setdefault(name, facts)
            if number.setdefault(name, row) == row:
                continue
            if other == facts:
                self.faults.append(Fault(row, _SAME, name))
            else:
                contradicting.setdefault(name, [number[name]]).append(row)
        for name, rows in contradicting.items():
            del self.used[name]
            self.faults += [Fault(row, _CONTRADICTS, name) for row in rows]

    def _look_beside(self) -> None:
        """Find images that lie in the folders of the rows' images but have no row."""
        named = {*self.used, *(each.value for each in self.faults)}
        for folder in dict.fromkeys(path.rpartition("/")[0] for path in self.used):
            prefix = f"{folder}/" if folder else ""
            with os.scandir(self.root / folder) as entries:
                self.unlisted += sorted(
                    prefix + entry.name
                    for entry in entries
                    if PurePosixPath(entry.name).suffix.lower() in IMAGE_SUFFIXES
                    and not entry.name.startswith(".")
                    and prefix + entry.name not in named
                )


class Finder:
    """Finds the files of paths below a root."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.name = root.name
        self.prefixes = {str(each / "_")[:-1] for each in (root, root.resolve())}

    def find(self, cell: Any) -> str:
        """Return the path of an image file, posix and relative to the root.

        Raises:
            UnusableError: there is none, or it lies outside the root.
        """
        if _is_missing(cell):
            raise UnusableError("no path", "")
        text = str(_whole(cell))
        inside = False
        for spelling in _spellings(text, self.name):
            # `..` is resolved as text, so that no link is followed out of the root
            full = os.path.normpath(os.path.join(self.root, spelling))  # noqa: PTH118
            prefix = next((each for each in self.prefixes if full.startswith(each)), None)
            if prefix is not None:
                inside = True
                if os.path.isfile(full):  # noqa: PTH113
                    return full[len(prefix) :].replace(os.sep, "/")
        shown = western(text)
        if "://" in text:
            raise UnusableError("a web address, not a file", shown)
        raise UnusableError(NO_FILE if inside else OUTSIDE, shown)


def _spellings(text: str, folder: str) -> Iterator[str]:
    """Yield a path as it stands, and then as other programs and systems write it."""
    yield text
    plain = western(text).strip().replace("\\", "/")
    yield plain
    for form in ("NFC", "NFD"):
        yield unicodedata.normalize(form, plain)
    yield plain.removeprefix(f"{folder}/")


class FactsReader:
    """Reads what a row says besides the path; equal rows share one object."""

    def __init__(self, has_splits: bool, has_weights: bool) -> None:
        self.has_splits, self.has_weights = has_splits, has_weights
        self._shared: dict[Facts, Facts] = {}

    def facts(self, label: Any, split: Any, group: Any, weight: Any) -> Facts:
        """Return the facts.

        Raises:
            UnusableError: a cell is empty, or cannot be meant.
        """
        facts = Facts(
            _text("label", label),
            self._split(split) if self.has_splits else TRAIN,
            None if _is_missing(group) else _text("group", group),
            self._weight(weight) if self.has_weights else 1.0,
        )
        return self._shared.setdefault(facts, facts)

    @staticmethod
    def _split(cell: Any) -> str:
        text = _text("split", cell)
        split = _role(text)
        if split is None:
            raise UnusableError(f"unknown split {quote(text)}", "")
        return split

    @staticmethod
    def _weight(cell: Any) -> float:
        try:
            weight = float(str(cell).replace(",", "."))
        except ValueError:
            weight = float("nan")
        if not isfinite(weight) or weight <= 0:
            raise UnusableError(f"{cell!r} is no weight above 0", "")
        return weight


@functools.cache
def _role(text: str) -> str | None:
    return split_roles([text]).get(text)


def _text(role: str, cell: Any) -> str:
    if _is_missing(cell):
        raise UnusableError(f"no {role}", "")
    if isinstance(cell, list | dict | tuple):
        raise UnusableError(f"a {role} that is no text", "")
    text = western(str(_whole(cell))).strip()
    if not text:
        raise UnusableError(f"no {role}", "")
    return sys.intern(text)


def _whole(cell: Any) -> Any:
    """Write 3.0 as 3: whole numbers turn into that where a column has gaps."""
    return int(cell) if isinstance(cell, float) and cell.is_integer() else cell


def _is_missing(cell: Any) -> bool:
    # not a number differs from itself; pandas' NA refuses the question
    if cell is None or cell == "":
        return True
    return not isinstance(cell, str) and (type(cell).__name__ == "NAType" or bool(cell != cell))


def _shown(faults: Sequence[Fault]) -> str:
    named = [
        f"row {each.row}{f' {quote(each.value)}' if each.value else ''}" for each in faults[:SHOWN]
    ]
    return ", ".join(named) + (", …" if len(faults) > SHOWN else "")
