"""Write a folder whole or not at all: fill a hidden sibling, then rename it.

A finished folder holds a hidden file with its origin and its number of images, so that a later call
can tell it from a folder of the user's, and notices when images are missing.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from headfit.errors import UsageError, WriteError

MARKER = ".headfit-sample"
_STALE_SECONDS = 3600.0


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
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(folder)
        return _fill_and_rename(folder, origin, fill)
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


def _fill_and_rename(folder: Path, origin: str, fill: Callable[[Path], None]) -> Path:
    partial = folder.with_name(f"{_prefix(folder)}{secrets.token_hex(4)}")
    partial.mkdir()
    try:
        fill(partial)
        (partial / MARKER).write_text(f"{origin}, images {_count(partial)}\n", "utf-8")
        return _rename(partial, folder, origin)
    finally:
        # Nothing is there any more after a success; an interrupt must leave nothing either.
        shutil.rmtree(partial, ignore_errors=True)


def _rename(partial: Path, folder: Path, origin: str) -> Path:
    try:
        if folder.exists():
            folder.rmdir()  # an empty one is in the way of a rename on Windows
        partial.rename(folder)
    except OSError:
        if not (folder / MARKER).is_file():
            raise
        return _require_same(folder, origin)  # another process was faster
    return folder


def _prefix(folder: Path) -> str:
    return f".{folder.name}.partial-"


def _remove_stale(folder: Path) -> None:
    """Remove what killed runs left; a young one may belong to a process that still writes."""
    for path in folder.parent.iterdir():
        if path.name.startswith(_prefix(folder)) and _age(path) > _STALE_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:  # its own process has just renamed it
        return 0.0
