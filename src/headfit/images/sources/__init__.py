"""Where images come from: each source lists its images and opens one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headfit.images.sources.files import FileSource
from headfit.images.sources.folder import FolderSource
from headfit.images.sources.source import ImageSource

KINDS = {"folder": FolderSource, "files": FileSource}


def find_source(record: Any) -> ImageSource | None:
    """Return the source that :meth:`ImageSource.to_dict` described; None if it is not there.

    Args:
        record: ``settings.source`` of a run, which may come from anybody.
    """
    if not isinstance(record, dict) or record.get("kind") not in KINDS:
        return None
    path = record.get("path")
    # on Windows the mere look at \\host\share asks that host
    if not isinstance(path, str) or not path or path.startswith(("\\\\", "//")):
        return None
    return KINDS[record["kind"]](Path(path)) if Path(path).is_dir() else None
