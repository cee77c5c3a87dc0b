"""Write a folder whole or not at all: fill a hidden sibling, then rename it.

A finished folder holds a hidden file with its origin and its number of images, so that a later call
can tell it from a folder of the user's, and notices when images are missing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from headfit.errors import UsageError, WriteError
from headfit.util import files

MARKER = ".headfit-sample"


def write_whole(folder: Path, origin: str, fill: Callable[[Path], None]) -> Path:
    """Fill a folder, unless an earlier call has filled it.

    Args:
        folder: absolute; new, empty or written by an earlier call of the same origin.
        origin: a line that identifies the images.
        fill: writes the images into an empty folder.

    Raises:
        UsageError: the folder holds anything else; it is never overwritten.
        WriteError: it cannot be written.
    """
    try:
        if not _is_vacant(folder):
            return _require_same(folder, origin)
        return _fill(folder, origin, fill)
    except FileExistsError:  # another process was faster; its folder stays
        return _require_same(folder, origin)
    except OSError as error:
        raise WriteError(
            f"The images cannot be written to '{folder}' ({error.strerror or error}). "
            "Free some space or choose another folder."
        ) from error


def damage(folder: Path) -> list[str]:
    """Say whether a folder has lost images: the name of its marker, or nothing."""
    try:
        number = (folder / MARKER).read_text("utf-8").strip().rpartition(", images ")[2]
        return [] if number == str(_count(folder)) else [MARKER]
    except (OSError, ValueError):
        return [MARKER]


def _is_vacant(folder: Path) -> bool:
    if not folder.exists():
        return True
    if not folder.is_dir():
        raise UsageError(f"'{folder}' is a file. Give a folder for the images.")
    return not any(folder.iterdir())


def _require_same(folder: Path, origin: str) -> Path:
    marker = folder / MARKER
    if not marker.is_file():
        raise UsageError(f"'{folder}' holds other files. Give a new or empty folder.")
    written, _, number = marker.read_text("utf-8").strip().rpartition(", images ")
    if written != origin:
        raise UsageError(
            f"'{folder}' holds other images ({written}; wanted: {origin}). "
            "Remove it or give another folder."
        )
    if number != str(_count(folder)):
        raise UsageError(
            f"'{folder}' no longer holds the {number} images that were written ({written}). "
            "Remove it to have it written again, or give another folder."
        )
    return folder


def _count(folder: Path) -> int:
    """Count the visible files, without links whose target has gone."""
    return sum(path.is_file() for path in folder.rglob("[!.]*"))


def _fill(folder: Path, origin: str, fill: Callable[[Path], None]) -> Path:
    with files.new_folder(folder) as partial:
        fill(partial)
        (partial / MARKER).write_text(f"{origin}, images {_count(partial)}\n", "utf-8")
        if (folder / MARKER).is_file():
            raise FileExistsError(folder)
    return folder
