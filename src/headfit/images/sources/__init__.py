"""Where images come from: each source lists its images and opens one of them."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import Any

from headfit.errors import UsageError
from headfit.images.sources.columns import Columns
from headfit.images.sources.files import FileSource
from headfit.images.sources.folder import FolderSource
from headfit.images.sources.source import ImageSource
from headfit.images.sources.table import TableSource
from headfit.util import tables

LAYOUT: dict[str, Any] = {"splits": None, "follow_links": True, "skip_empty_classes": False}
TABLE: dict[str, Any] = {
    **dict.fromkeys(f"{each.name}_column" for each in fields(Columns)),
    "root": None,
    "strict": False,
}
DEFAULTS = LAYOUT | TABLE
"""The options of sources."""
KINDS: dict[str, Any] = {"folder": FolderSource, "files": FileSource, "table": TableSource}


def open_source(images: str | os.PathLike[str], **options: Any) -> ImageSource:
    """Open a folder or a table; which of them it is shows by its name.

    Args:
        images: its path.
        options: as :meth:`headfit.ImageIndex.from_directory` and ``from_table`` take them.

    Raises:
        UsageError: there is nothing of that name, or an option does not suit it.
        DataError: it cannot be read.
    """
    given = {name: value for name, value in options.items() if value != DEFAULTS[name]}
    path = Path(images)
    is_table = path.suffix.lower() in tables.SUFFIXES and not path.is_dir()
    # for a table, a run takes care of classes that are empty
    suited = {*TABLE, "skip_empty_classes"} if is_table else LAYOUT
    for name, value in given.items():
        if name not in suited:
            kind = "a folder" if is_table else "a table such as photos.csv"
            raise UsageError.invalid(name, value, f"left out: it is for {kind}")
    if is_table:
        return TableSource.of(path, **{name: given[name] for name in given if name in TABLE})
    return FolderSource.of(path, **given)


def find_source(record: Any) -> ImageSource | None:
    """Return the source that :meth:`ImageSource.to_dict` described; None if it is not there.

    Args:
        record: ``settings.source`` of a run, which may come from anybody.
    """
    if not isinstance(record, dict) or not isinstance(kind := record.get("kind"), str):
        return None
    found: ImageSource | None = KINDS[kind].from_dict(record) if kind in KINDS else None
    return found
