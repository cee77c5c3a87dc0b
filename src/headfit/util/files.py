"""Files and folders that are written whole or not at all.

They are filled under a temporary name beside their place and then renamed. A killed process cannot
remove its temporary files, so the name says whose they are, and the next process that writes into
the folder removes those of dead ones.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import re
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from headfit.errors import DataError, UsageError, WriteError
from headfit.util import digests

# .tmp- of a file or folder that is being written, headfit- of one in the system's temporary folder;
# then machine and process, which names of former versions lack
_TEMPORARY = re.compile(
    r"\.tmp-(?:(?P<machine>[0-9a-f]{8})-(?P<pid>\d+)-)?[0-9a-f]{32}(?:\.\w+)?"
    r"|headfit-(?P<scratch_machine>[0-9a-f]{8})-(?P<scratch_pid>\d+)-\w+"
)
# a temporary file of another machine, or of a process that cannot be told from a later one
STALE_SECONDS = 24 * 3600.0


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
            f"Cannot write '{path}': {reason}. Free some space or choose another folder: `out` for "
            f"results, the environment variable HEADFIT_HOME for caches."
        ) from error


def write_file(path: Path, write: Callable[[Path], None], *, durable: bool = False) -> None:
    """Let ``write`` fill a temporary sibling, then move it into place.

    Args:
        path: the file.
        write: is given the sibling.
        durable: whether its content reaches the disk before its name does.

    Raises:
        WriteError: if it could not be written; ``path`` is then what it was before.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # the suffix stays: Keras and numpy choose the format by it
        temporary = _sibling(path, path.suffix)
        try:
            write(temporary)
            if durable:
                with temporary.open("rb+") as stream:
                    os.fsync(stream.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Write text as UTF-8, whole or not at all; lone surrogates of odd file names are escaped."""
    data = text.encode("utf-8", errors="backslashreplace")
    write_file(path, lambda temporary: _keep(temporary.write_bytes(data)), durable=durable)


def write_json(path: Path, data: Any, *, durable: bool = False) -> None:
    """Write plain data as readable JSON, whole or not at all; arguments as :func:`write_file`."""
    write_text(path, json.dumps(data, indent=2, allow_nan=False) + "\n", durable=durable)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a temporary sibling to fill; it becomes ``path`` on success and vanishes otherwise.

    Raises:
        WriteError: if it could not be made or moved.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary, former = _sibling(path), _sibling(path)
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


@contextlib.contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Give a folder beside ``path``, on the same disk, that vanishes in the end.

    Raises:
        WriteError: if it could not be made, or what is written in the block cannot be.
    """
    made = [each for each in path.parents if not each.exists()]
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = _sibling(path)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            for each in made:  # if nothing came of it
                with contextlib.suppress(OSError):
                    each.rmdir()


def read_regular(path: Path, most: int, *, follow_links: bool = True) -> bytes:
    """Read a file from elsewhere: a regular one of limited size, no pipe and no device.

    Args:
        path: the file.
        most: bytes that it may have.
        follow_links: whether it may be a link.

    Raises:
        OSError: if it cannot be opened.
        DataError: if it is not a regular file, or too large.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    flags |= 0 if follow_links else getattr(os, "O_NOFOLLOW", 0)
    with open(os.open(path, flags), "rb") as stream:  # noqa: PTH123  (a descriptor)
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > most:
            raise DataError(f"'{path}' must be a regular file of at most {most >> 20} MB.")
        return stream.read(status.st_size)


def check_writable(folder: Path) -> None:
    """Find out before the work whether results can be written there; nothing is made.

    Raises:
        UsageError: if the path is a file.
        WriteError: if the folder, or the nearest one above it that exists, cannot be written to.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError.invalid("out", str(folder), "a folder, not a file")
    with writing(folder):
        nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        with tempfile.NamedTemporaryFile(prefix=".tmp-", dir=nearest) as probe:
            probe.write(b"0")


def remove(path: Path) -> None:
    """Remove a file or a folder; it vanishes at once, so nobody sees a part of it.

    Raises:
        OSError: if it cannot be removed, for instance because it is open on Windows.
    """
    aside = path.rename(_sibling(path))
    _delete(aside)


def scratch_prefix() -> str:
    """Give the prefix of a temporary folder for :mod:`tempfile`; those of dead processes go."""
    _sweep_once(Path(tempfile.gettempdir()))
    return f"headfit-{_machine()}-{os.getpid()}-"


def is_temporary(name: str) -> bool:
    """Tell the temporary files and folders of this module by their name."""
    return _TEMPORARY.fullmatch(name) is not None


def sweep(folder: Path) -> list[Path]:
    """Remove what killed processes left in a folder, not below it.

    A temporary file goes if its process ran on this machine and is dead, or if it is a day old.

    Returns:
        What was removed.
    """
    swept = []
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            path = Path(entry.path)
            if is_temporary(entry.name) and _is_leftover(path):
                _delete(path)
                swept.append(path)
    return swept


@functools.cache
def _sweep_once(folder: Path) -> None:
    sweep(folder)


def _is_leftover(path: Path) -> bool:
    import psutil  # noqa: PLC0415  (not for --help)

    try:
        status = path.lstat()
    except OSError:  # its own process has just renamed it
        return False
    if hasattr(os, "getuid") and status.st_uid != os.getuid():
        return False
    if time.time() - status.st_mtime > STALE_SECONDS:
        return True
    parts = _TEMPORARY.fullmatch(path.name)
    machine, pid = (parts["machine"], parts["pid"]) if parts else (None, None)
    if parts and parts["scratch_pid"]:
        machine, pid = parts["scratch_machine"], parts["scratch_pid"]
    return machine == _machine() and pid is not None and not psutil.pid_exists(int(pid))


@functools.cache
def _machine() -> str:
    """Name what process numbers belong to: this computer, or this container on it."""
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # not Linux
        space = ""
    return digests.of_data([platform.node(), space])[:8]


def _delete(path: Path) -> None:
    """Remove a file, a link itself, or a folder; what cannot be removed stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _sibling(path: Path, suffix: str = "") -> Path:
    _sweep_once(path.parent.absolute())
    # not by tempfile, whose files and folders nobody else may read
    return path.with_name(f".tmp-{_machine()}-{os.getpid()}-{uuid.uuid4().hex}{suffix}")


def _keep(_: Any) -> None:
    return None
