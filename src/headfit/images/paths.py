"""Files, folders and globs to image files."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from headfit.errors import UsageError
from headfit.images.decode import IMAGE_SUFFIXES


def expand(patterns: Sequence[str]) -> list[str]:
    """Turn files, folders and globs into image files.

    Args:
        patterns: a folder stands for all images below it, in order of their names.

    Raises:
        UsageError: if something does not exist or a pattern matches nothing.
    """
    found: list[str] = []
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            found.extend(_images_below(path))
        elif path.exists():
            found.append(pattern)
        else:
            matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207  (absolute patterns too)
            if not matches:
                raise UsageError(f"'{pattern}' is neither a file nor a folder and matches nothing.")
            found.extend(expand(matches))
    return found


def _images_below(folder: Path) -> list[str]:
    images = [
        str(path)
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    ]
    if not images:
        raise UsageError(f"There are no images in the folder '{folder}'.")
    return images
