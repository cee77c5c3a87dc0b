"""The one way of finding images below a folder, for every command.

Hidden entries and what operating systems leave behind are passed over in silence. What headfit
wrote itself is recognised by its files and not entered. Only names are read: a pipe or a device is
never opened.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from headfit.errors import DataError
from headfit.images.decode import IMAGE_SUFFIXES
from headfit.images.sources.links import LEADS_OUT, Links, is_link, is_remote, real_path
from headfit.images.sources.source import quote

EMPTY = "an empty folder"
OWN = "written by headfit itself"
_READ = "points to a folder that is read elsewhere"
_CLUTTER = frozenset(
    {
        *("__macosx", "thumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
        *("@eadir", "lost+found"),
    }
)
_SCHEMA = re.compile(rb'\s*\{\s*"schema"\s*:\s*"headfit\.')
_OF_A_RUN = frozenset({"predictions.csv", "suspects.csv", "report.html"})
SIGNATURE = b"tEXtSoftware\0headfit"
"""Stands at the beginning of every picture that headfit draws."""
_EXPLAINED = re.compile(r"\d{4}-[\w-]+-[\w-]+\.png", re.ASCII)
_START = 256  # bytes of a file that show its schema


class Entry(NamedTuple):
    """A file below a folder, or a folder that was not entered.

    Attributes:
        path: posix, relative to the folder; that of a folder ends with a slash.
        reason: why it is not an image; None for an image.
    """

    path: str
    reason: str | None


def walk(root: str | os.PathLike[str], links: Links | None = None) -> Iterator[Entry]:
    """Find images below a folder, by name and in the same order everywhere.

    A folder is read once however many links point to it: where it lies, if that is below ``root``.
    Links never lead round in a circle.

    Args:
        root: the folder.
        links: says which links are followed, and collects them; if None, those that point to
            what lies below ``root``.

    Yields:
        Every file but clutter, one folder after the other, and the folders that are not entered or
        are empty.

    Raises:
        DataError: a folder cannot be read.

    Example:

    ```python
    images = [entry.path for entry in walk("photos") if entry.reason is None]
    ```
    """
    top = Path(root)
    links = Links(top) if links is None else links
    real_root = os.path.realpath(top)
    seen = {real_root}
    # the folders that wait, and where those lie that were reached by a link
    waiting: list[Entry | tuple[str, str]] = [("", "")]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Entry):
            yield item
            continue
        folder, real = item
        if real:  # what lies outside has no place of its own
            if real in seen:
                yield Entry(folder, _READ)
                continue
            seen.add(real)
        entries = _entries(top / folder)
        if folder and is_own_output([each.name for each in entries], _reader(top / folder)):
            yield Entry(folder, OWN)
        elif folder and not entries:
            yield Entry(folder, EMPTY)
        else:
            waiting.extend(
                _step(each, folder + each.name, real, links, real_root)
                for each in reversed(entries)
            )


def is_clutter(name: str) -> bool:
    """Say whether a file or folder is passed over in silence, by the last part of its path."""
    return name.startswith(".") or name.lower() in _CLUTTER


def why_not_image(name: str) -> str | None:
    """Say why a file is not an image, by its name; None if it is one."""
    suffix = os.path.splitext(name)[1]  # noqa: PTH122  (called a million times)
    if suffix.lower() in IMAGE_SUFFIXES:
        return None
    return f"not an image by its suffix {suffix!r}" if suffix else "has no suffix"


def is_own_folder(folder: Path) -> bool:
    """Say whether a path is a folder that ``compare`` or ``explain`` wrote."""
    try:
        return folder.is_dir() and is_own_output(
            [each.name for each in folder.iterdir()], _reader(folder)
        )
    except OSError:
        return False


def is_own_output(names: Collection[str], read: Callable[[str], bytes]) -> bool:
    """Recognise a folder that ``compare`` or ``explain`` wrote.

    Args:
        names: of the files in it.
        read: returns the start of one of them; empty if it cannot be read.
    """
    files = set(names)
    if "model.keras" in files and files & _OF_A_RUN:
        return True
    maps = next(filter(_EXPLAINED.fullmatch, names), None)
    if maps is not None and ("sheet.png" in files or SIGNATURE in read(maps)):
        return True
    return any(
        _SCHEMA.match(read(name)) is not None
        for name in ("results.json", "progress.json")
        if name in files
    )


def _step(
    entry: os.DirEntry[str], path: str, folder: str, links: Links, real_root: str
) -> Entry | tuple[str, str]:
    """Say what an entry is: a file, or a folder to enter.

    Args:
        entry: the entry.
        path: of it, as it is to be shown.
        folder: where that of the entry lies, if it was reached by a link.
        links: says which are followed.
        real_root: where the walk begins.
    """
    real, out = f"{folder}{os.sep}{entry.name}" if folder else "", False
    if link := is_link(entry):
        real = real_path(entry.path)
        out = not links.follow and links.is_outside(real)
    far = out and is_remote(real)
    is_folder = not far and _is_true(entry.is_dir)
    if is_folder and link and read_elsewhere(real, real_root):
        return Entry(f"{path}/", _READ)
    if is_folder and not out:
        return f"{path}/", real
    reason = LEADS_OUT if out else None
    if not is_folder:
        broken = None if far else _why_not_regular(entry)
        reason = why_not_image(entry.name) or broken or reason
    if reason is None and real:
        links.real[path] = real
    if reason == LEADS_OUT:
        links.left_out[path] = None
    return Entry(f"{path}/" if is_folder else path, reason)


def read_elsewhere(real: str, real_root: str) -> bool:
    """Whether a walk reaches a folder without links, or reaches itself from there."""
    if Path(real_root).is_relative_to(real):
        return True
    if not Path(real).is_relative_to(real_root):
        return False
    return not any(map(is_clutter, Path(real).relative_to(real_root).parts))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what lies in a folder, by name, without clutter."""
    try:
        with os.scandir(folder) as listed:
            entries = [entry for entry in listed if not is_clutter(entry.name)]
    except OSError as error:
        raise DataError(
            f"The folder {quote(folder)} cannot be read ({error.strerror}). "
            "Make it readable or move it away."
        ) from error
    return sorted(entries, key=lambda entry: entry.name)


def _why_not_regular(entry: os.DirEntry[str]) -> str | None:
    if _is_true(entry.is_file):
        return None
    broken = entry.is_symlink() and not os.path.exists(entry.path)  # noqa: PTH110
    return "broken link" if broken else "not a regular file"


def _is_true(question: Callable[[], bool]) -> bool:
    """Answer no where the system gives no answer, as for a link in a circle."""
    try:
        return question()
    except OSError:
        return False


def _reader(folder: Path) -> Callable[[str], bytes]:
    def read(name: str) -> bytes:
        path = folder / name
        try:
            if not path.is_file():
                return b""
            with path.open("rb") as stream:
                return stream.read(_START)
        except OSError:
            return b""

    return read
