"""The user's own groups: images of one patient, one machine, one burst, which share a fold."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np

from headfit.errors import DataError, UsageError
from headfit.images.index import ImageIndex
from headfit.images.sources.source import quote

COLUMNS = ("path", "group")
MAX_BYTES = 200_000_000
Labels = dict[str, tuple[str, ...]]  # path → group, without images that have none


@dataclass(frozen=True, eq=False)
class ImageGroups:
    """Images that share a fold.

    Attributes:
        numbers: int (n,), equal for images of one group, from 0, in the order of the index.
        names: the name of each group by its number; of an image without a group, its path.
        unmatched: number of images without a group: each stands alone.
    """

    numbers: np.ndarray
    names: tuple[str, ...]
    unmatched: int


def groups_of(index: ImageIndex) -> ImageGroups | None:
    """Return the groups that the source of an index names; None if it names none."""
    if index.groups is None:
        return None
    pairs = zip(index.paths, index.groups, strict=True)
    return _numbered(index, {path: (group,) for path, group in pairs if group is not None})


def read_groups(text: str, index: ImageIndex) -> ImageGroups:
    """Read the group of each image.

    Args:
        text: a CSV file with the columns ``path`` and ``group``; other columns are ignored. Paths
            are relative to the image folder, with ``/``, or absolute. Or a regular expression,
            searched in each image's path below the folder: its capture groups, or without any its
            whole match, name the image's group.
        index: the images.

    Raises:
        UsageError: the text is neither a file nor an expression that matches an image, or the file
            lacks a column.
        DataError: the file cannot be read or is too large, has no row for an image, or puts one
            image into two groups.

    Example:

    ```python
    read_groups(r"patient(\\d+)", index)  # patient7/scan1.png and patient7/scan2.png: one group
    ```
    """
    if os.path.isfile(text):  # noqa: PTH113  (an expression may hold what no path can)
        return _numbered(index, _from_file(Path(text), index))
    try:
        expression = re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError.invalid(
            "groups",
            text,
            "a CSV file with the columns path,group or a regular expression",
            f"There is no such file, and as an expression it is not valid: {error}.",
        ) from error
    groups = _by_expression(expression, index)
    if not groups:
        raise UsageError.invalid(
            "groups",
            text,
            "a CSV file or a regular expression that matches images",
            f"There is no such file, and no path of {len(index):,} matches; the first is "
            f"{quote(index.paths[0])}. Paths are relative to the image folder.",
        )
    return _numbered(index, groups)


def _numbered(index: ImageIndex, groups: Labels) -> ImageGroups:
    """Number the groups; an image without one gets its own."""
    numbers: dict[tuple[bool, tuple[str, ...]], int] = {}
    # a group may be named like the path of an image that has none
    keys = [(path in groups, groups.get(path, (path,))) for path in index.paths]
    assigned = [numbers.setdefault(key, len(numbers)) for key in keys]
    names = tuple("/".join(name) for _, name in numbers)
    return ImageGroups(np.array(assigned, np.intp), names, len(index) - len(groups))


def _by_expression(expression: re.Pattern[str], index: ImageIndex) -> Labels:
    matches = ((path, expression.search(path)) for path in index.paths)
    return {
        path: tuple(part or "" for part in match.groups()) or (match[0],)
        for path, match in matches
        if match
    }


def _from_file(file: Path, index: ImageIndex) -> Labels:
    groups: dict[str, str] = {}
    for path, group in _rows(file, Path(index.source.location)):
        if groups.setdefault(path, group) != group:
            raise DataError(
                f"{quote(file)} puts {quote(path)} into two groups, {quote(groups[path])} and "
                f"{quote(group)}. Keep one."
            )
    missing = [path for path in index.paths if path not in groups]
    if missing:
        raise DataError(
            f"{quote(file)} has no group for {len(missing)} of {len(index)} images, the first "
            f"being {quote(missing[0])}. Add a row for each, with its path relative to "
            f"{quote(index.source.location)}."
        )
    return {path: (groups[path],) for path in index.paths}


def _rows(file: Path, root: Path) -> Iterator[tuple[str, str]]:
    """Yield path and group of each row."""
    roots = (root, root.resolve())
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise DataError(
                f"{quote(file)} has {size:,} bytes, more than the {MAX_BYTES:,} that a list of "
                f"groups may have."
            )
        # names that are not UTF-8 are read as the index reads them
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True)
            columns = reader.fieldnames or ()
            if missing := [f"no column {name}" for name in COLUMNS if name not in columns]:
                raise UsageError.invalid(
                    "groups",
                    str(file),
                    "a CSV file with the columns path,group",
                    f"It has {' and '.join(missing)}; its columns are "
                    f"{quote(', '.join(columns)[:80])}.",
                )
            for row in reader:
                if not row["path"] or not row["group"]:
                    raise DataError(
                        f"{quote(file)} has no path or no group in line {reader.line_num}. "
                        f"Fill it in."
                    )
                yield _relative(row["path"], roots), row["group"]
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{quote(file)} cannot be read as a CSV file ({reason}).") from error


def _relative(path: str, roots: Sequence[Path]) -> str:
    """Write a path as the index does."""
    pure = PurePath(path)
    inside = (pure.relative_to(root) for root in roots if pure.is_relative_to(root))
    return next(inside, pure).as_posix()
