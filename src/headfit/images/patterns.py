"""Patterns such as ``photos/**/*.jpg``: what they match, as a walk over the folders finds it.

Not ``glob``: it follows every link, so that ``**`` does not end where links form circles.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from headfit.images.sources.links import Links, is_link, is_remote, real_path
from headfit.images.sources.walk import is_clutter, is_own_folder, read_elsewhere, why_not_image

ANY_FOLDERS = "**"
_MAGIC = re.compile(r"[*?[]")
_SEPARATORS = re.compile(r"[\\/]+" if os.name == "nt" else r"/+")


class Pattern:
    """A pattern of names of files and folders.

    Hidden entries, clutter and what headfit wrote are matched only by what stands before the first
    ``*``, ``?`` or ``[``. Nothing is found twice, and links are followed as ``links`` says.

    Args:
        pattern: ``*`` and ``?`` stand for any characters and one, ``[ab]`` for one of these, and
            ``**`` for any folders.
        follow_links: whether links are followed that point outside ``folder``.

    Attributes:
        folder: what stands before the first part that is a pattern.
        links: those that were met.
    """

    def __init__(self, pattern: str, follow_links: bool) -> None:
        drive, rest = os.path.splitdrive(pattern)
        magic = _MAGIC.search(rest)
        before = rest[: magic.start()] if magic else ""
        cut = max((match.end() for match in _SEPARATORS.finditer(before)), default=0)
        self._start = drive + rest[:cut]
        self.folder = Path(self._start or ".")
        self._parts = _SEPARATORS.split(rest[cut:]) if magic else []
        self._any_name = pattern.endswith("*")
        self.links = Links(self.folder, follow_links)
        self._own = cache(is_own_folder)

    def matches(self) -> list[str]:
        """Give the files and folders that match, sorted, without what lies in one of them."""
        parts = self._parts
        found: dict[str, str] = {}  # where it really lies → its path
        waiting = [(self._start, self.links.root, 0)] if parts else []
        seen = {(self.links.root, 0)}
        while waiting:
            folder, place, at = waiting.pop()
            last = at == len(parts) - 1
            if parts[at] == ANY_FOLDERS and not last:
                steps = [(folder, place, at + 1)]
            elif not parts[at]:  # the pattern ends with a slash
                found.setdefault(place, folder)
                continue
            else:
                steps = []
            for name, real, is_folder in self._entries(folder, place, at):
                path = f"{folder}{name}"
                if last and self._is_wanted(name, is_folder):
                    found.setdefault(real, path)
                elif is_folder and not last:
                    deeper = at if parts[at] == ANY_FOLDERS else at + 1
                    steps.append((f"{path}{os.sep}", real, deeper))
            for step in reversed(steps):
                if step[1:] not in seen:
                    seen.add(step[1:])
                    waiting.append(step)
        return _outermost(found.values())

    def _is_wanted(self, name: str, is_folder: bool) -> bool:
        """Whether what matches the last part of the pattern is a match of all of it."""
        return is_folder or not self._any_name or why_not_image(name) is None

    def _entries(self, folder: str, place: str, at: int) -> Iterator[tuple[str, str, bool]]:
        """Yield what matches a part of the pattern: its name, where it lies, if it is a folder."""
        part, last = self._parts[at], at == len(self._parts) - 1
        try:
            with os.scandir(folder or ".") as listed:
                entries = sorted(listed, key=lambda each: (is_link(each), each.name))
        except OSError:
            return
        for entry in entries:
            if is_clutter(entry.name):
                continue
            if part != ANY_FOLDERS and not fnmatch.fnmatch(entry.name, part):
                continue
            real, link = os.path.join(place, entry.name), is_link(entry)  # noqa: PTH118
            out = False
            if link:
                real = real_path(entry.path)
                if part == ANY_FOLDERS and read_elsewhere(real, self.links.root):
                    continue
                out = self.links.is_outside(real) and not self.links.follow
            far = out and is_remote(real)  # not even looked at
            is_folder = not far and os.path.isdir(entry.path)  # noqa: PTH112
            if out:
                if far or (self._is_wanted(entry.name, is_folder) if last else is_folder):
                    self.links.left_out[f"{folder}{entry.name}"] = None
                continue
            if not is_folder or not self._own(Path(entry.path)):
                yield entry.name, real, is_folder


def _outermost(paths: Iterable[str]) -> list[str]:
    """Sort paths, and leave out what lies in one of them that is a folder."""
    outermost: list[str] = []
    folders: set[Path] = set()
    for text in sorted(paths):
        path = Path(text)
        if not folders.intersection(path.parents):
            outermost.append(text)
            if path.is_dir():
                folders.add(path)
    return outermost
