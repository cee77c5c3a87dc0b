"""The user's own groups: images of one patient, one machine, one burst, which share a fold."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np

from headfit.errors import DataError, UsageError
from headfit.images.index import ImageIndex
from headfit.images.sources.source import quote
from headfit.util.tables import Table, open_table, western

if TYPE_CHECKING:
    import regex

COLUMNS = ("path", "group")
MAX_BYTES = 200_000_000
SECONDS, SECONDS_PER_IMAGE = 1.0, 1e-4
"""How long a regular expression may take; Python's own cannot be stopped."""
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
        UsageError: the text is neither a file nor an expression that matches an image in time, or
            the file lacks a column.
        DataError: the file cannot be read or is too large, has no row for an image, or puts one
            image into two groups.

    Example:

    ```python
    read_groups(r"patient(\\d+)", index)  # patient7/scan1.png and patient7/scan2.png: one group
    ```
    """
    if os.path.isfile(text):  # noqa: PTH113  (an expression may hold what no path can)
        return _numbered(index, _from_file(Path(text), index))
    import regex  # noqa: PLC0415  (few runs need it)

    try:
        re.compile(text)  # the syntax is that of Python, as documented
        expression = regex.compile(text, regex.VERSION0)
    except (re.error, regex.error, RecursionError, OverflowError) as error:
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


def _by_expression(expression: regex.Pattern[str], index: ImageIndex) -> Labels:
    """Search an expression in all paths, whose names come from others, under a deadline."""
    allowed = SECONDS + SECONDS_PER_IMAGE * len(index)
    end, groups = time.monotonic() + allowed, {}
    for path in index.paths:
        try:
            match = expression.search(path, timeout=max(end - time.monotonic(), 1e-6))
        except TimeoutError:
            raise UsageError.invalid(
                "groups",
                expression.pattern,
                f"a regular expression that takes at most {allowed:.3g} s for these images",
                f"It ran out of time on {quote(path)}. Avoid nested repeats such as (a+)+, or give "
                "a CSV file.",
            ) from None
        if match:
            groups[path] = tuple(part or "" for part in match.groups()) or (match[0],)
    return groups


def _from_file(file: Path, index: ImageIndex) -> Labels:
    groups: dict[str, str] = {}
    wanted = set(index.paths)
    table = open_table(file, MAX_BYTES)
    for row, path, group in _rows(file, table):
        if not path or not group:
            missing = "no path" if not path else "no group"
            raise DataError(f"{quote(file)} has {missing} in row {row}. Fill it in.")
        name = _name_of(path, wanted, index.source.root)
        if groups.setdefault(name, group) != group:
            raise DataError(
                f"{quote(file)} puts {quote(name)} into two groups, {quote(groups[name])} and "
                f"{quote(group)}. Keep one."
            )
    without = [path for path in index.paths if path not in groups]
    if without:
        raise DataError(
            f"{quote(file)} has no group for {len(without)} of {len(index)} images, the first "
            f"being {quote(without[0])}. Add a row for each, with its path relative to "
            f"{quote(index.source.root or index.source.location)}."
        )
    return {path: (groups[path],) for path in index.paths}


def _rows(file: Path, table: Table) -> Iterator[tuple[int, str, str]]:
    """Yield number, path and group of each row that is not empty."""
    by_name = {name.casefold(): name for name in reversed(table.names)}
    if missing := [f"no column {name}" for name in COLUMNS if name not in by_name]:
        raise UsageError.invalid(
            "groups",
            str(file),
            "a CSV file with the columns path,group",
            f"It has {' and '.join(missing)}; its columns are "
            f"{quote(', '.join(table.names)[:80])}.",
        )
    paths, groups = table.read([by_name[name] for name in COLUMNS])
    for row, (path, group) in enumerate(zip(paths, groups, strict=True), table.first_row):
        if path is not None or group is not None:
            yield row, str(path or ""), western(str("" if group is None else group))


def _name_of(path: str, wanted: Collection[str], root: Path | None) -> str:
    """Write a path as the index does; other programs write it in other ways."""
    for spelling in (path, western(path).replace("\\", "/")):
        name = PurePath(spelling).as_posix()
        if root is not None:
            for each in (root, root.resolve()):
                if PurePath(spelling).is_relative_to(each):
                    name = PurePath(spelling).relative_to(each).as_posix()
        if name in wanted:
            return name
        if root is not None and (below := name.removeprefix(f"{root.name}/")) in wanted:
            return below
    return name
