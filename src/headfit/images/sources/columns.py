"""Which columns of a table hold paths, labels, splits, groups and weights."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

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
        label: the class of each; several columns of labels or numbers as a tuple.
        split: ``train``, ``validation`` or ``test``.
        group: images of one group stay in one fold.
        weight: how much each image counts.
    """

    path: str | None = None
    label: str | tuple[str, ...] | None = None
    split: str | None = None
    group: str | None = None
    weight: str | None = None

    @classmethod
    def wanted(cls, options: Mapping[str, Any]) -> Columns:
        """Make them of options such as ``label_column``."""
        names = {name.removesuffix("_column"): each for name, each in options.items()}
        label = names.get("label")
        if isinstance(label, Iterable) and not isinstance(label, str):
            names["label"] = tuple(label)
        return cls(**names)

    @classmethod
    def stored(cls, record: Any) -> Columns | None:
        """Read what ``named`` gave, from a file that anybody may have written; None if it is not.

        Args:
            record: as JSON has it.
        """
        if not isinstance(record, dict) or not set(record) <= {each.name for each in fields(cls)}:
            return None
        names: dict[str, Any] = {
            role: tuple(each) if _several(each) else each for role, each in record.items()
        }
        flat = [name for each in names.values() for name in (each if _several(each) else (each,))]
        return cls(**names) if all(isinstance(name, str) for name in flat) else None

    @property
    def labels(self) -> tuple[str, ...]:
        """The label columns."""
        if isinstance(self.label, tuple):
            return self.label
        return (self.label,) if self.label else ()

    def named(self) -> dict[str, Any]:
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
            f"{role} from {quote(str(name))}"
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
    chosen: dict[str, Any] = {
        role: _labels(table, name) if role == "label" else _named(table, role, name)
        for role, name in wanted.named().items()
    }
    for role in ("path", "label", "split", "group", "weight"):
        if role not in chosen:
            chosen[role] = _by_name(role, _left(names, chosen))
    if not chosen["path"]:
        chosen["path"] = _of_image_names(table)
    if wanted.label is None and _is_half_a_position(chosen["label"], _left(names, chosen)):
        chosen["label"] = None
    rest = _left(names, chosen)
    if not chosen["label"] and chosen["path"] and len(rest) == 1 and wanted.label is None:
        chosen["label"] = rest[0]
    for role, what in (("path", "paths of the images"), ("label", "labels")):
        if role in needed and not chosen[role]:
            raise DataError(
                f"It is not plain which column of {quote(table.name)} holds the {what}. Received: "
                f"{_listed(names)}. Name it with `{role}_column`"
                f"{'; separate several by commas.' if role == 'label' else '.'}"
            )
    return Columns(**{role: name or None for role, name in chosen.items()})


def is_list(table: Table) -> bool:
    """Whether a table is a plain list of image files, whose header is the first of them."""
    return len(table.names) == 1 and _is_image_name(table.names[0])


def _is_image_name(text: str) -> bool:
    return PurePosixPath(text).suffix.lower() in IMAGE_SUFFIXES


def _left(names: Sequence[str], chosen: Mapping[str, Any]) -> list[str]:
    """Return the columns that have no role yet."""
    taken = {part for each in chosen.values() for part in (each if _several(each) else (each,))}
    return [name for name in names if name not in taken]


def _several(names: Any) -> bool:
    return isinstance(names, list | tuple)


def _is_half_a_position(label: str | None, rest: Sequence[str]) -> bool:
    """Whether a column called y is one of two coordinates rather than the label."""
    return (label or "").casefold() == "y" and any(name.casefold() == "x" for name in rest)


def _labels(table: Table, wanted: Any) -> str | tuple[str, ...]:
    """Find the label columns that the user names: one, or several separated by commas or in a list.

    Raises:
        UsageError: one of them does not exist or is named twice, or they are no names.
    """
    given = wanted
    if isinstance(given, str):
        exact = {name.casefold() for name in table.names}
        alone = given.casefold() in exact or "," not in given
        given = [given] if alone else [part.strip() for part in given.split(",")]
    if not _several(given) or not all(isinstance(name, str) for name in given):
        raise UsageError.invalid("label_column", wanted, "the name of a column, or several")
    names = [_named(table, "label", name) for name in given]
    if len(set(names)) < len(names):
        raise UsageError.invalid("label_column", wanted, "columns that differ")
    return names[0] if len(names) == 1 else tuple(filter(None, names))


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
