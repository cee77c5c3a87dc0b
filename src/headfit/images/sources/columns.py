"""Which columns of a table hold paths, labels, splits, groups and weights."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import PurePosixPath

from headfit.errors import DataError, UsageError
from headfit.images.decode import IMAGE_SUFFIXES
from headfit.images.sources.source import quote
from headfit.util.tables import Table

# other names of a role, without signs and in lower case; a role's own name comes first
_ALSO = {
    "path": r"(image|img|file|picture|photo)s?(path|name|file|filename|filepath|id)?",
    "label": r"labels?|class|classname|classlabel|labelname|category|categoryname|target|y",
    "split": r"subset|set|partition|usage",
    "group": r"groups|groupid|groupname",
    "weight": r"weights|sampleweights?",
}
_SAMPLE = 100  # rows that show which column holds names of image files


@dataclass(frozen=True)
class Columns:
    """Names of a table's columns; None where the table decides, and empty for none.

    Attributes:
        path: the image files.
        label: the class of each.
        split: ``train``, ``validation`` or ``test``.
        group: images of one group stay in one fold.
        weight: how much each image counts.
    """

    path: str | None = None
    label: str | None = None
    split: str | None = None
    group: str | None = None
    weight: str | None = None

    def named(self) -> dict[str, str]:
        """Return the columns that are set, by their role."""
        pairs = ((each.name, getattr(self, each.name)) for each in fields(self))
        return {role: name for role, name in pairs if name is not None}

    def notes(self, wanted: Columns, table: str) -> list[str]:
        """Say which columns were guessed, and whether images have weights.

        Args:
            wanted: the columns that the user names.
            table: the name of the table.
        """
        named = wanted.named()
        guessed = [
            f"{role} from {quote(name)}"
            for role, name in self.named().items()
            if role not in named and name != role
        ]
        lines = [f"Columns of {quote(table)}: {', '.join(guessed)}."] if guessed else []
        if self.weight:
            lines.append(
                f"Images are weighted by column {quote(self.weight)} of {quote(table)}. To count "
                "all alike, set `weight_column=''`."
            )
        return lines


def choose_columns(
    table: Table, wanted: Columns, needed: Sequence[str] = ("path", "label")
) -> Columns:
    """Find the column of each role: as wanted, else by its name, else by what can only be meant.

    Args:
        table: the table.
        wanted: columns that the user names.
        needed: the roles that must have one.

    Returns:
        The names; None for a role that no column has.

    Raises:
        UsageError: a column that is wanted does not exist.
        DataError: it is not plain which column holds the paths or the labels.
    """
    names = list(table.names)
    if not names:
        raise DataError(f"{quote(table.name)} is empty. Give a table with a row for each image.")
    if any(map(_is_image_name, names)):
        raise DataError(
            f"The first row of {quote(table.name)} must name its columns. Received: "
            f"{_listed(names)}. Add a row such as {','.join(needed)}."
        )
    chosen: dict[str, str | None] = {
        role: _named(table, role, name) for role, name in wanted.named().items()
    }
    for role in ("path", "label", "split", "group", "weight"):
        if role not in chosen:
            chosen[role] = _by_name(role, [each for each in names if each not in chosen.values()])
    if not chosen["path"]:
        chosen["path"] = _of_image_names(table)
    rest = [name for name in names if name not in chosen.values()]
    if not chosen["label"] and chosen["path"] and len(rest) == 1 and wanted.label is None:
        chosen["label"] = rest[0]
    for role, what in (("path", "paths of the images"), ("label", "labels")):
        if role in needed and not chosen[role]:
            raise DataError(
                f"It is not plain which column of {quote(table.name)} holds the {what}. Received: "
                f"{_listed(names)}. Name it with `{role}_column`."
            )
    return Columns(**{role: name or None for role, name in chosen.items()})


def is_list(table: Table) -> bool:
    """Whether a table is a plain list of image files, whose header is the first of them."""
    return len(table.names) == 1 and _is_image_name(table.names[0])


def _is_image_name(text: str) -> bool:
    return PurePosixPath(text).suffix.lower() in IMAGE_SUFFIXES


def _named(table: Table, role: str, name: str) -> str:
    """Find a column that the user names; upper and lower case matter only where both exist."""
    near = [each for each in table.names if each.casefold() == name.casefold()]
    exact = [each for each in near if each == name] or near
    if len(exact) == 1 or not name:
        return exact[0] if name else ""
    if exact:
        raise DataError(
            f"{quote(table.name)} has {len(exact)} columns {quote(name)}. Rename one of them."
        )
    close = difflib.get_close_matches(name, table.names, n=1)
    raise UsageError.invalid(
        f"{role}_column",
        name,
        f"a column of {quote(table.name)}: {_listed(table.names)}",
        f"Did you mean '{close[0]}'?" if close else "",
    )


def _by_name(role: str, names: Sequence[str]) -> str | None:
    """Find the one column that is named like a role; None if there is none, or several."""
    plain = {name: re.sub(r"[\W_]", "", name.casefold()) for name in names}
    exact = [name for name in names if plain[name] == role]
    also = [name for name in names if re.fullmatch(_ALSO[role], plain[name])]
    for alike in (exact, also):
        if alike:
            return alike[0] if len(alike) == 1 and names.count(alike[0]) == 1 else None
    return None


def _of_image_names(table: Table) -> str | None:
    """Find the one column whose cells end like names of image files."""
    columns = []
    for name in dict.fromkeys(table.names):
        rows = islice(table.rows([name]), _SAMPLE)
        cells = [str(row[0]) for row in rows if row and row[0]]
        if cells and all(map(_is_image_name, cells)):
            columns.append(name)
    return columns[0] if len(columns) == 1 else None


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(quote(name) for name in names[:10]) or "no columns"
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown
