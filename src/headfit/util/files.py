"""Files that are written whole or not at all, and where headfit keeps its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import platformdirs

from headfit.errors import UsageError, WriteError


def home() -> Path:
    """Give the folder of the feature store: ``HEADFIT_HOME``, else the platform's cache folder."""
    return Path(os.environ.get("HEADFIT_HOME") or platformdirs.user_cache_dir("headfit"))


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write below ``path`` into one line that says so.

    Raises:
        WriteError: in place of any OSError: disk full, read-only, no permission.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(
            f"Cannot write '{path}': {reason}. Free some space or choose another place "
            f"(--out for the run, HEADFIT_HOME for the feature store)."
        ) from error


def write_file(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary sibling, then move it into place.

    Raises:
        WriteError: if it could not be written; ``path`` is then what it was before.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # the suffix stays: Keras and numpy choose the format by it
        temporary = _sibling(path, path.suffix)
        try:
            write(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, whole or not at all; lone surrogates of odd file names are escaped."""
    data = text.encode("utf-8", errors="backslashreplace")
    write_file(path, lambda temporary: _keep(temporary.write_bytes(data)))


def write_json(path: Path, data: Any) -> None:
    """Write plain data as readable JSON, whole or not at all."""
    write_text(path, json.dumps(data, indent=2, allow_nan=False) + "\n")


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a temporary sibling to fill; it becomes ``path`` on success and vanishes otherwise.

    Raises:
        WriteError: if it could not be made or moved.
    """
    temporary, former = _sibling(path), _sibling(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
    try:
        yield temporary
        with writing(path):
            # a folder cannot be replaced in one step; aside, it is whole until the new one is there
            if path.exists():
                path.replace(former)
            temporary.replace(path)
    finally:
        for folder in (temporary, former):
            shutil.rmtree(folder, ignore_errors=True)


def check_writable(folder: Path) -> None:
    """Find out before the work whether results can be written there; nothing is made.

    Raises:
        UsageError: if the path is a file.
        WriteError: if the folder, or the nearest one above it that exists, cannot be written to.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"'{folder}' is a file; --out expects a folder.")
    with writing(folder):
        nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        with tempfile.NamedTemporaryFile(prefix=".tmp-", dir=nearest) as probe:
            probe.write(b"0")


def _sibling(path: Path, suffix: str = "") -> Path:
    # not by tempfile, whose files and folders nobody else may read
    return path.with_name(f".tmp-{uuid.uuid4().hex}{suffix}")


def _keep(_: Any) -> None:
    return None
