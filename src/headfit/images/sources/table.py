"""A table of image files and their labels: CSV, TSV, JSON Lines, Parquet, or a DataFrame."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from headfit.errors import DataError, UsageError
from headfit.images.sources.cells import count_cells, is_empty
from headfit.images.sources.columns import Columns, choose_columns, is_list
from headfit.images.sources.finder import NO_FILE, OUTSIDE, Finder, UnusableError
from headfit.images.sources.labelling import Labelling, Place, check_target, decide
from headfit.images.sources.links import Links
from headfit.images.sources.rows import Rows
from headfit.images.sources.source import (
    Listing,
    LocalSource,
    check_classes,
    links_followed,
    links_remedy,
    local_path,
    quote,
    stored_target,
    target_chosen,
)
from headfit.images.targets import SEPARATOR
from headfit.util.tables import Table, open_table, table_of


@dataclass(frozen=True)
class TablePaths:
    """The image files that a table names, in the order of its rows; it needs no labels.

    Attributes:
        table: the table.
        column: that holds the paths.
        root: the folder that they are relative to, and must not lead out of.
        links: says which links are followed.
        notes: sentences about how it was read.
    """

    table: Table
    column: str
    root: Path
    links: Links
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        path: Path,
        column: str | None = None,
        root: Path | None = None,
        *,
        follow_links: bool = False,
    ) -> TablePaths:
        """Open a table.

        Raises:
            UsageError: there is no such table, column or root.
            DataError: it cannot be read, or it is not plain which column holds the paths.
        """
        source = TableSource.of(path, root, path_column=column)
        table, notes = open_table(path), []
        if column is None and is_list(table):
            table = open_table(path, header=False)
            notes = [f"{quote(table.name)} has one column and no header: it holds the paths."]
        columns = choose_columns(table, source.columns, ["path"])
        assert columns.path is not None
        only = Columns(path=columns.path)
        notes += only.notes(source.columns, table.name)
        folder = path.parent if root is None else root
        return cls(table, columns.path, folder, Links(folder, follow_links), tuple(notes))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield the file of each row, and what is wrong with the row: nothing if it can be used."""
        finder = Finder(self.root.absolute(), self.links)
        for number, row in enumerate(self.table.rows([self.column]), self.table.first_row):
            if row is None:
                continue
            try:
                yield str(self.root / finder.find(row[0])), ""
            except UnusableError as fault:
                reason, value = fault.args
                web = "://" in value
                name = value if web else str(self.root / value)
                yield (name if value else f"{self.table.name}, row {number}"), reason


@dataclass(frozen=True)
class TableSource(LocalSource):
    """Image files that a table lists; ``root`` is the folder that its paths are relative to.

    Attributes:
        path: of the table; None if it is in memory.
        columns: those that the user names.
        strict: whether a row that cannot be used stops the run.
        data: the table in memory.
        chosen_root: whether the user chose the root.
        target: what the user says that label columns mean; None lets their cells decide.
        separator: what stands between the labels in a cell.
    """

    kind = "table"
    path: Path | None = None
    columns: Columns = field(default_factory=Columns)
    strict: bool = False
    data: Any = field(default=None, repr=False, compare=False)
    chosen_root: bool = False
    target: str | None = None
    separator: str = SEPARATOR

    @classmethod
    def of(
        cls,
        table: Any,
        root: str | os.PathLike[str] | None = None,
        *,
        strict: bool = False,
        follow_links: bool = False,
        target: str | None = None,
        label_separator: str = SEPARATOR,
        **columns: str | Iterable[str] | None,
    ) -> TableSource:
        """Check the arguments; see :meth:`headfit.ImageIndex.from_table`."""
        wanted = Columns.wanted(columns)
        check_target(target, label_separator)
        path = Path(table).absolute() if isinstance(table, str | os.PathLike) else None
        for name, value in (("strict", strict), ("follow_links", follow_links)):
            if not isinstance(value, bool):
                raise UsageError.invalid(name, value, "True or False")
        if root is not None and not Path(root).is_dir():
            raise UsageError.invalid("root", str(root), "a folder that exists")
        folder = Path(root).absolute() if root is not None else path.parent if path else Path.cwd()
        data = None if path else table
        chosen = root is not None, target, label_separator
        return cls(folder, path, wanted, strict, data, *chosen, follow_links=follow_links)

    @property
    def location(self) -> str:
        """Path of the table."""
        return str(self.path or self.root)

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.path.name if self.path else super().name

    @property
    def argument(self) -> str:
        """Path of the table; a placeholder if it is in memory."""
        return str(self.path) if self.path else "FOLDER"

    @property
    def options(self) -> Mapping[str, Any]:
        """What the user chose."""
        columns = {f"{role}_column": name for role, name in self.columns.named().items()}
        return {
            **columns,
            **links_followed(self.follow_links),
            "root": str(self.root) if self.chosen_root else None,
            "strict": self.strict or None,
            **target_chosen(self.target, self.separator),
        }

    def listing(self) -> Listing:
        """List the images, sorted by class, if they have one, and then path, as folders do.

        Raises:
            UsageError: a column does not exist, or several hold classes.
            DataError: the table cannot be read, or has no row that can be used, or a number is
                missing.
        """
        table = open_table(self.path) if self.path else table_of(self.data)
        columns = choose_columns(table, self.columns)
        labelling = self._labelling(table, columns)
        links = Links(self.root, self.follow_links)
        rows = Rows.read(table, columns, labelling, self.root, links)
        faults = rows.in_words()
        remedy = links_remedy(each.reason for each in rows.faults).strip()
        if not rows.used:
            fault = faults[0] if faults else f"{quote(table.name)} has no rows"
            raise DataError(f"{fault}. {remedy or self._hint(rows)}".rstrip())
        if faults and self.strict:
            raise DataError(f"{'. '.join(faults)}. Correct this or leave out `strict`.")
        form = [f"{quote(table.name)} is {table.form}."] if table.form else []
        notes = [*form, *columns.notes(self.columns, table.name), *labelling.notes]
        notes += map("{}.".format, faults)
        notes += [remedy] if remedy else []
        listing = rows.listing(columns, notes)
        check_classes(listing, quote(table.name))
        return listing

    def to_dict(self) -> dict[str, Any]:
        """Return the kind, the path and what is needed to read it."""
        path = str(self.path) if self.path else None
        columns = self.columns.named()
        record = {"kind": self.kind, "path": path, "root": str(self.root), "columns": columns}
        chosen = target_chosen(self.target, self.separator)
        return {**record, **links_followed(self.follow_links), **chosen}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self | None:
        """Find the images again, and how the table was read; None if their folder is not there."""
        root, path = local_path(record.get("root")), local_path(record.get("path"))
        columns, target = Columns.stored(record.get("columns", {})), stored_target(record)
        if root is None or not root.is_dir() or columns is None or target is None:
            return None
        chosen = path is not None and root != path.parent
        follow = record.get("follow_links") is True
        return cls(root, path, columns, False, None, chosen, *target, follow_links=follow)

    def _labelling(self, table: Table, columns: Columns) -> Labelling:
        """Look at all label cells to see what they mean."""
        numbered = enumerate(table.rows([str(columns.path), *columns.labels]), table.first_row)
        cells = (
            (number, row[1:])
            for number, row in numbered
            # most rows name a file: the quick question first
            if row is not None and ((row[0] and row[0].__class__ is str) or not _is_blank(row))
        )
        counted = count_cells(columns.labels, cells)
        return decide(counted, Place(quote(table.name)), self.target, self.separator)

    def _hint(self, rows: Rows) -> str:
        """Help who gave the wrong root, or paths without their suffix."""
        missing = [each.value for each in rows.faults if each.reason in (NO_FILE, OUTSIDE)]
        if not missing:
            return ""
        first = _pattern(missing[0])
        if inside := self._first(f"*/{first}"):
            folder = Path(str(inside).removesuffix(missing[0].replace("/", os.sep)))
            return f"{quote(missing[0])} is in {quote(folder)}: give that folder as `root`."
        if longer := self._first(f"{first}.*"):
            return f"There is {quote(longer)}: write paths with the suffix of the files."
        return f"Paths are relative to {quote(self.root)}: choose another folder with `root`."

    def _first(self, pattern: str) -> Path | None:
        if ".." in Path(pattern).parts:
            return None
        try:
            return min(self.root.glob(pattern), default=None)
        except (OSError, ValueError):  # no file can have such a name
            return None


def _is_blank(row: Sequence[Any]) -> bool:
    return all(map(is_empty, row))


def _pattern(path: str) -> str:
    """Write a path as a pattern that matches nothing else; patterns must be relative."""
    return "".join(f"[{each}]" if each in "*?[" else each for each in path.lstrip("/\\")) or "?"
