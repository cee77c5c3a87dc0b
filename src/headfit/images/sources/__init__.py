"""Where images come from: each source lists its images and opens one of them."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import Any

from headfit.errors import UsageError
from headfit.images.sources import archive, dataset_rows
from headfit.images.sources.archive import ArchiveSource
from headfit.images.sources.columns import Columns
from headfit.images.sources.dataset import DatasetSource
from headfit.images.sources.files import FileSource
from headfit.images.sources.folder import FolderSource
from headfit.images.sources.source import ImageSource
from headfit.images.sources.table import TableSource
from headfit.images.targets import CLASS, SEPARATOR
from headfit.images.targets import KINDS as TARGETS
from headfit.util import tables

LAYOUT: dict[str, Any] = {"splits": None, "follow_links": False, "skip_empty_classes": False}
TABLE: dict[str, Any] = {
    **dict.fromkeys(f"{each.name}_column" for each in fields(Columns)),
    "target": None,
    "label_separator": SEPARATOR,
    "root": None,
    "strict": False,
}
DEFAULTS = LAYOUT | TABLE
"""The options of sources."""
KINDS: dict[str, Any] = {
    "folder": FolderSource,
    "files": FileSource,
    "table": TableSource,
    "archive": ArchiveSource,
    "dataset": DatasetSource,
}
_OPENED: dict[str, Any] = {"folder": FolderSource, "archive": ArchiveSource}
_WORDS = {"folder": "folders", "archive": "archives", "table": "tables such as photos.csv"}
"""What messages call the kinds; a data set is a table, too."""
_SUITED: dict[str, set[str]] = {
    "folder": set(LAYOUT),
    "archive": {"splits", "skip_empty_classes"},
    "table": {*TABLE, "follow_links", "skip_empty_classes"},
    "dataset": {*TABLE, "follow_links", "skip_empty_classes"} - {"root", "strict", "split_column"},
}


def open_source(images: str | os.PathLike[str], **options: Any) -> ImageSource:
    """Open a folder, a table, an archive or ``hf:`` and a data set, as the name shows.

    Args:
        images: its path.
        options: as :meth:`headfit.ImageIndex.from_directory` and ``from_table`` take them.

    Raises:
        UsageError: there is nothing of that name, or an option does not suit it.
        DataError: it cannot be read.
    """
    chosen = {name: value for name, value in options.items() if value != DEFAULTS[name]}
    path = Path(images)
    kind = "dataset" if str(images).startswith(dataset_rows.PREFIX) else _kind(path)
    if kind in _OPENED and "target" in chosen:
        _check_folders(chosen.pop("target"))
    for name, value in chosen.items():
        # of a table, a run leaves out the classes that are empty; no column suits every source
        if name not in _SUITED[kind] and value != "":
            fitting = " and ".join(_WORDS[each] for each in _WORDS if name in _SUITED[each])
            raise UsageError.invalid(name, value, f"left out: it is for {fitting}")
    of_table = {name: chosen[name] for name in chosen if name in {*TABLE, "follow_links"}}
    if kind == "table":
        return TableSource.of(path, **of_table)
    if kind == "dataset":
        return DatasetSource.of(str(images), **of_table)
    of_layout = {name: chosen[name] for name in chosen if name in LAYOUT}
    source: ImageSource = _OPENED[kind].of(path, **of_layout)
    return source


def _check_folders(target: Any) -> None:
    """Refuse other targets than classes: class folders hold none."""
    if target != CLASS:
        valid = target in TARGETS
        expected = f"'{CLASS}' or left out: class folders give each image one class"
        raise UsageError.invalid(
            "target",
            target,
            expected if valid else f"one of {', '.join(TARGETS)}",
            "Give a table with a column of labels or numbers." if valid else "",
        )


def _kind(path: Path) -> str:
    name = path.name.lower()
    if name.endswith(tables.SUFFIXES) and not path.is_dir():
        return "table"
    return "archive" if name.endswith(archive.SUFFIXES) and not path.is_dir() else "folder"


def find_source(record: Any) -> ImageSource | None:
    """Return the source that :meth:`ImageSource.to_dict` described; None if it is not there.

    Args:
        record: ``settings.source`` of a run, which may come from anybody.
    """
    if not isinstance(record, dict) or not isinstance(kind := record.get("kind"), str):
        return None
    source: ImageSource | None = KINDS[kind].from_dict(record) if kind in KINDS else None
    return source
