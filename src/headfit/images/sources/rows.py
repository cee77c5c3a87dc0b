"""The rows of a table: each is an image, or has a fault that is counted and named."""

from __future__ import annotations

import functools
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from headfit.images.decode import IMAGE_SUFFIXES
from headfit.images.sources.cells import is_empty, text_of
from headfit.images.sources.columns import Columns
from headfit.images.sources.finder import Finder, Folders, UnusableError, is_missing
from headfit.images.sources.labelling import Label, Labelling
from headfit.images.sources.links import Links
from headfit.images.sources.source import TRAIN, Listing, Skipped, quote
from headfit.images.sources.splits import split_roles
from headfit.images.targets import CLASS
from headfit.util.nouns import counted
from headfit.util.tables import Table

SHOWN = 3  # rows of a kind of fault that are named
_SAME, _CONTRADICTS = "repeats another row", "contradicts another row of its image"
_ROLES = ("path", "split", "group", "weight")
_REMEMBERED = 1 << 16  # different rows of facts that are read once


class Fault(NamedTuple):
    """Why a row is not used: its number, what is wrong with it, and what it holds."""

    row: int
    reason: str
    value: str


class Facts(NamedTuple):
    """What a row says about its image."""

    label: Label
    split: str
    group: str | None
    weight: float


@dataclass
class Rows:
    """The rows of a table, checked.

    Attributes:
        table: the name of the table.
        root: the folder that its paths are relative to.
        labelling: how label cells become targets.
        used: image → what its row says.
        faults: of the rows that are not used.
        count: number of rows that are not empty.
        unlisted: images beside those of the table that have no row.
        joined: images with several rows, whose labels are joined.
    """

    table: str
    root: Path
    labelling: Labelling = field(default_factory=Labelling)
    used: dict[str, Facts] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    count: int = 0
    unlisted: list[str] = field(default_factory=list)
    joined: dict[str, None] = field(default_factory=dict)

    @classmethod
    def read(
        cls, table: Table, columns: Columns, labelling: Labelling, root: Path, links: Links
    ) -> Rows:
        """Read and check all rows.

        Args:
            table: the table.
            columns: the column of each role.
            labelling: how label cells become targets.
            root: the folder that paths are relative to, and must not lead out of.
            links: says which links are followed.
        """
        rows, folders = cls(table.name, root, labelling), Folders(root, links)
        rows._check(table, columns, folders, Finder(root, links))
        rows._look_beside(folders)
        return rows

    def listing(self, columns: Columns, notes: Sequence[str]) -> Listing:
        """List the images, sorted by class, if they have one, and then path."""
        paths = sorted(self.used)
        if self.labelling.kind == CLASS:
            paths.sort(key=lambda path: self.used[path].label)
        facts = [self.used[path] for path in paths]
        return Listing(
            paths,
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
            notes=[*notes, *self._joined_in_words()],
            kind=self.labelling.kind,
            names=self.labelling.names,
        )

    def _joined_in_words(self) -> list[str]:
        """Say which images have several rows."""
        if not self.joined:
            return []
        images = counted(len(self.joined), "image has", "images have")
        first = quote(next(iter(self.joined)))
        return [f"{images} several rows, whose labels are joined. The first: {first}."]

    def in_words(self) -> list[str]:
        """Count the faults and name the first of each kind; nothing if there are none."""
        kinds: dict[str, list[Fault]] = defaultdict(list)
        for each in self.faults:
            kinds[each.reason].append(each)
        parts = [f"{len(faults)} × {kind} ({_shown(faults)})" for kind, faults in kinds.items()]
        lines = []
        if parts:
            lines.append(
                f"{len(self.faults)} of {self.count} rows of {quote(self.table)} "
                f"{'is' if len(self.faults) == 1 else 'are'} left out: {', '.join(parts)}"
            )
        if self.unlisted:
            names = ", ".join(map(quote, self.unlisted[:SHOWN]))
            more = ", …" if len(self.unlisted) > SHOWN else ""
            lines.append(
                f"{quote(self.table)} has no row for {counted(len(self.unlisted), 'image')} beside "
                f"those of its rows: {names}{more}"
            )
        return lines

    def _check(self, table: Table, columns: Columns, folders: Folders, finder: Finder) -> None:
        """Sort rows into images and faults."""
        named = {role: name for role, name in columns.named().items() if role in _ROLES}
        places = {role: place for place, role in enumerate(named)}
        pick = itemgetter(*(places.get(role, -1) for role in _ROLES))
        reader = FactsReader(self.labelling, "split" in named, "weight" in named)
        first = len(named)  # of the label columns, which come last
        number: dict[str, int] = {}  # of the row of an image
        contradicting: dict[str, list[int]] = {}
        for row, cells in enumerate(
            table.rows([*named.values(), *columns.labels]), table.first_row
        ):
            if cells is None:
                continue
            path, *rest = pick((*cells, None))
            label = tuple(cells[first:])
            is_named = isinstance(path, str) and path  # most rows are: the quick question first
            if not is_named and all(map(is_empty, (path, *rest, *label))):
                continue
            self.count += 1
            try:
                name = folders.take(path)
                if name is None:
                    name = finder.find(path)
                    folders.take(name)
                facts = reader.facts(label, *rest)
            except UnusableError as fault:
                self.faults.append(Fault(row, *fault.args))
                continue
            other = self.used.setdefault(name, facts)
            if number.setdefault(name, row) == row:
                continue
            if other == facts:
                self.faults.append(Fault(row, _SAME, name))
            elif other[1:] == facts[1:] and (both := self.labelling.joined(other[0], facts[0])):
                self.used[name] = facts._replace(label=both)
                self.joined[name] = None
            else:
                contradicting.setdefault(name, [number[name]]).append(row)
        for name, rows in contradicting.items():
            del self.used[name]
            self.faults += [Fault(row, _CONTRADICTS, name) for row in rows]

    def _look_beside(self, folders: Folders) -> None:
        """Find images that lie in the folders of the rows' images but have no row."""
        for folder in dict.fromkeys(path[: path.rfind("/") + 1] for path in self.used):
            self.unlisted += sorted(
                folder + name
                for name in folders.files(folder)
                if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122  (millions)
                and not name.startswith(".")
            )


class FactsReader:
    """Reads what a row says besides the path; equal rows share one object."""

    def __init__(self, labelling: Labelling, has_splits: bool, has_weights: bool) -> None:
        self.labelling = labelling
        self.has_splits, self.has_weights = has_splits, has_weights
        self._remembered = functools.lru_cache(_REMEMBERED, typed=True)(self._read)

    def facts(self, label: tuple[Any, ...], split: Any, group: Any, weight: Any) -> Facts:
        """Return the facts; ``label`` holds the cells of all label columns.

        Raises:
            UnusableError: a cell is empty, or cannot be meant.
        """
        try:
            return self._remembered(label, split, group, weight)
        except TypeError:  # a list cannot be remembered
            return self._read(label, split, group, weight)

    def _read(self, label: tuple[Any, ...], split: Any, group: Any, weight: Any) -> Facts:
        return Facts(
            self.labelling.read(label),
            self._split(split) if self.has_splits else TRAIN,
            None if is_missing(group) else text_of("group", group),
            self._weight(weight) if self.has_weights else 1.0,
        )

    @staticmethod
    def _split(cell: Any) -> str:
        text = text_of("split", cell)
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
            raise UnusableError("a weight that is not a number above 0", "")
        return weight


@functools.cache
def _role(text: str) -> str | None:
    return split_roles([text]).get(text)


def _shown(faults: Sequence[Fault]) -> str:
    named = [
        f"row {each.row}{f' {quote(each.value)}' if each.value else ''}" for each in faults[:SHOWN]
    ]
    return ", ".join(named) + (", …" if len(faults) > SHOWN else "")
