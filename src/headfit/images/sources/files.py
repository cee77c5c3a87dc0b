"""A list of image files with their labels."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from headfit.errors import DataError, UsageError
from headfit.images.sources.cells import count_cells
from headfit.images.sources.finder import UnusableError, whole
from headfit.images.sources.labelling import Label, Labelling, Place, check_target, decide
from headfit.images.sources.source import (
    SPLITS,
    TRAIN,
    Listing,
    LocalSource,
    check_classes,
    quote,
)
from headfit.images.targets import CLASS, SEPARATOR

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class FileSource(LocalSource):
    """Image files from a list; ``root`` is the deepest folder that holds all of them.

    Attributes:
        rows: the images, in the order of the list.
    """

    kind = "files"
    rows: Listing = field(default_factory=Listing, repr=False)

    @classmethod
    def of(
        cls,
        paths: Iterable[PathLike],
        labels: Iterable[object],
        groups: Iterable[object] | None = None,
        splits: Iterable[str] | None = None,
        weights: Iterable[float] | None = None,
        target: str | None = None,
        label_separator: str = SEPARATOR,
    ) -> FileSource:
        """Check the columns of a list; see :meth:`headfit.ImageIndex.from_paths`."""
        if isinstance(paths, str | os.PathLike) or not isinstance(paths, Iterable):
            raise UsageError.invalid("paths", paths, "a list of paths of image files")
        files = [_absolute(path) for path in paths]
        if not files:
            raise DataError("`paths` is empty. Give at least one image of each of two classes.")
        check_target(target, label_separator)
        labelling, targets = _targets(labels, len(files), target, label_separator)
        group_names = _groups([None] * len(files) if groups is None else groups, len(files))
        split_names = _splits([TRAIN] * len(files) if splits is None else splits, len(files))
        counts = None if weights is None else _weights(weights, len(files))
        _check_files(files)
        root = _common_folder(files)
        grouped = None if set(group_names) == {None} else group_names
        listing = Listing(
            _relative(files, root),
            targets,
            split_names,
            grouped,
            counts,
            notes=labelling.notes,
            kind=labelling.kind,
            names=labelling.names,
        )
        return cls(Path(root), listing, follow_links=True)  # the user names each file

    @property
    def argument(self) -> str:
        """A placeholder: no command takes a list of files."""
        return "FOLDER"

    @property
    def options(self) -> Mapping[str, Any]:
        """Nothing."""
        return {}

    def listing(self) -> Listing:
        """List the images, in the order of the list."""
        check_classes(self.rows, "`labels`")
        return self.rows


def _absolute(path: PathLike) -> str:
    try:
        text = os.fsdecode(path)
    except TypeError:
        raise UsageError.invalid("paths", path, "a list of paths of image files") from None
    # as text, a/../b is b; through a link it may be another file
    if ".." in text and ".." in Path(text).parts and "\0" not in text:
        text = os.path.realpath(text)
    return os.path.abspath(text)  # noqa: PTH100  (a million Paths take 300 MB)


def _targets(
    labels: Any, count: int, target: str | None, separator: str
) -> tuple[Labelling, list[Label]]:
    """Say what labels mean, and return the target of each image."""
    names, columns = _label_columns(labels, count)
    place = Place("`labels`", "entry {}", listed=not _has_columns(labels))
    rows = list(zip(*columns, strict=True))
    labelling = decide(count_cells(names, enumerate(rows)), place, target, separator)
    if labelling.kind == CLASS:
        return labelling, [_text("labels", row, whole(cell)) for row, (cell,) in enumerate(rows)]
    targets = []
    for row, cells in enumerate(rows):
        try:
            targets.append(labelling.read(cells))
        except UnusableError:
            raise UsageError(
                f"`labels` must be lists of texts. Received: labels[{row}]={cells[0]!r}."
            ) from None
    return labelling, targets


def _has_columns(labels: Any) -> bool:
    """Whether labels are a DataFrame or a dict of columns."""
    return isinstance(labels, Mapping) or hasattr(labels, "columns")


def _label_columns(labels: Any, count: int) -> tuple[list[str], list[list[Any]]]:
    """Return the names and entries of the label columns."""
    if not _has_columns(labels):
        if getattr(labels, "ndim", 1) != 1:
            raise UsageError.invalid(
                "labels",
                f"an array of shape {labels.shape}",
                "one entry for each path, or a dict of columns such as {'x': …, 'y': …}",
            )
        name = getattr(labels, "name", None)  # a Series has one
        return [str(name or "label")], [_sized("labels", labels, count)]
    columns = labels.keys() if isinstance(labels, Mapping) else labels.columns
    keys = list(getattr(labels, "column_names", columns))
    if not keys:
        raise UsageError.invalid("labels", labels, "at least one column")
    return [str(key) for key in keys], [_sized("labels", labels[key], count) for key in keys]


def _text(name: str, row: int, value: object) -> str:
    if not isinstance(value, str | Integral) or value == "":
        raise UsageError(
            f"`{name}` must be text or whole numbers. Received: {name}[{row}]={value!r}."
        )
    return sys.intern(str(value))


def _groups(values: Iterable[object], count: int) -> list[str | None]:
    entries = enumerate(_sized("groups", values, count))
    return [None if entry is None else _text("groups", row, entry) for row, entry in entries]


def _splits(values: Iterable[str], count: int) -> list[str]:
    splits = []
    for value in _sized("splits", values, count):
        split = SPLITS.get(str(value).lower())
        if split is None:
            raise UsageError.invalid("splits", value, "'train', 'validation' or 'test'")
        splits.append(split)
    return splits


def _weights(values: Iterable[float], count: int) -> np.ndarray:
    try:
        return np.array(_sized("weights", values, count), np.float64)
    except (TypeError, ValueError):
        raise UsageError.invalid("weights", values, "a list of numbers above 0") from None


def _sized(name: str, values: Iterable[Any], count: int) -> list[Any]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise UsageError.invalid(name, values, "a list, one entry for each path")
    plain = getattr(values, "to_pylist", None) or getattr(values, "to_list", None)
    entries = plain() if plain else list(values)  # a column of lists holds columns else
    if len(entries) != count:
        raise UsageError(
            f"`{name}` must have one entry for each path. Received: {len(entries)} {name}, "
            f"{count} paths."
        )
    return entries


def _check_files(files: Collection[str]) -> None:
    seen: set[str] = set()
    for path in files:
        if path in seen:
            raise UsageError(f"`paths` names {quote(path)} twice. Keep one of them.")
        seen.add(path)
    missing = [path for path in files if not os.path.isfile(path)]  # noqa: PTH113
    if missing:
        raise UsageError(
            f"`paths` names files that do not exist: {len(missing)} of {len(files)}, the first "
            f"being {quote(missing[0])}."
        )


def _common_folder(files: Collection[str]) -> str:
    # what the first and the last share in the order of text, all share
    first, last = min(files), max(files)
    try:
        shared = os.path.commonpath([first, last])
    except ValueError:  # several drives
        raise UsageError("`paths` must be on one drive.") from None
    return os.path.dirname(first) if first == last else shared  # noqa: PTH120


def _relative(files: Iterable[str], root: str) -> list[str]:
    start = len(root.rstrip(os.sep)) + 1
    return [path[start:].replace(os.sep, "/") for path in files]
