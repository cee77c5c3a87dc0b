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
Labels = dict[str, tuple[str, ...]]  # of paths, without those that have no group


@dataclass(frozen=True, eq=False)
class UserGroups:
    """Which images the user wants kept together.

    Attributes:
        numbers: int (n,), equal for images of one group, from 0, in the order of the index.
        names: the name of each group by its number; of an image without a group, its path.
        unmatched: how many images the expression does not match: each is a group of its own.
    """

    numbers: np.ndarray
    names: tuple[str, ...]
    unmatched: int


def read_groups(text: str, index: ImageIndex) -> UserGroups:
    """Find the group of each image.

    Args:
        text: a CSV file with the columns ``path`` and ``group``, of which other columns are
            ignored; paths are relative to the folder, with ``/``, or absolute. Or a regular
            expression, searched in each image's path below the folder: what its groups capture,
            or without any all that it matches, is the name of the image's group.
        index: the images.

    Raises:
        UsageError: neither a file nor an expression, or one that matches no image; or the file has
            not these columns.
        DataError: the file cannot be read or is too large, says nothing of an image, or names two
            groups for one.
    """
    if os.path.isfile(text):  # noqa: PTH113  (an expression may hold what no path can)
        return _numbered(index, _from_file(Path(text), index), 0)
    try:
        expression = re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(
            f"--groups is {quote(text)}: there is no such file, and it is no regular expression "
            f"({error}); expected a CSV file with the columns path,group or an expression."
        ) from error
    found = _by_expression(expression, index)
    if not found:
        raise UsageError(
            f"--groups is {quote(text)}: there is no such file, and as a regular expression it "
            f"matches none of the {len(index)} images, the first being {quote(index.paths[0])}; "
            f"it is searched in paths relative to the folder."
        )
    return _numbered(index, found, len(index) - len(found))


def _numbered(index: ImageIndex, found: Labels, unmatched: int) -> UserGroups:
    """Number the groups; an image without one gets its own."""
    numbers: dict[tuple[bool, tuple[str, ...]], int] = {}
    # a group may be named like the path of an image that has none
    keys = [(path in found, found.get(path, (path,))) for path in index.paths]
    assigned = [numbers.setdefault(key, len(numbers)) for key in keys]
    names = tuple("/".join(name) for _, name in numbers)
    return UserGroups(np.array(assigned, np.intp), names, unmatched)


def _by_expression(expression: re.Pattern[str], index: ImageIndex) -> Labels:
    matches = ((path, expression.search(path)) for path in index.paths)
    return {
        path: tuple(part or "" for part in match.groups()) or (match[0],)
        for path, match in matches
        if match
    }


def _from_file(file: Path, index: ImageIndex) -> Labels:
    given: dict[str, str] = {}
    for path, group in _rows(file, index.root):
        if given.setdefault(path, group) != group:
            raise DataError(
                f"{quote(file)} puts {quote(path)} in two groups, {quote(given[path])} and "
                f"{quote(group)}; keep one."
            )
    missing = [path for path in index.paths if path not in given]
    if missing:
        raise DataError(
            f"{quote(file)} has no group for {len(missing)} of {len(index)} images, the first "
            f"being {quote(missing[0])}; add a row for each, with its path relative to "
            f"{quote(index.root)}."
        )
    return {path: (given[path],) for path in index.paths}


def _rows(file: Path, root: Path) -> Iterator[tuple[str, str]]:
    """Yield path and group of each row."""
    roots = (root, root.resolve())
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise DataError(
                f"{quote(file)} is too large for a list of groups: {size} bytes, the limit is "
                f"{MAX_BYTES}."
            )
        # names that are not UTF-8 are read as the index reads them
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True)
            columns = reader.fieldnames or ()
            if missing := [f"no column {name}" for name in COLUMNS if name not in columns]:
                raise UsageError(
                    f"--groups {quote(file)} has {' and '.join(missing)} (found: "
                    f"{quote(', '.join(columns)[:80])}); expected a CSV file with path,group."
                )
            for row in reader:
                if not row["path"] or not row["group"]:
                    raise DataError(
                        f"{quote(file)} lacks the path or the group in line {reader.line_num}; "
                        f"fill it in."
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
