"""Image files from files, folders and glob patterns."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from headfit.errors import UsageError
from headfit.images.decode import IMAGE_SUFFIXES


def expand(patterns: Sequence[str]) -> list[str]:
    """List the image files that some files, folders and glob patterns stand for.

    Args:
        patterns: a folder stands for all images below it, sorted by name.

    Raises:
        UsageError: a pattern matches nothing, or a folder holds no images.
    """
    paths: list[str] = []
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            paths.extend(_images_below(path))
        elif path.exists():
            paths.append(pattern)
        else:
            matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207  (absolute patterns too)
            if not matches:
                raise UsageError(f"'{pattern}' does not exist and, as a pattern, matches no file.")
            paths.extend(expand(matches))
    return paths


def _images_below(folder: Path) -> list[str]:
    images = [
        str(path)
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    ]
    if not images:
        raise UsageError(f"No images in the folder '{folder}'.")
    return images
