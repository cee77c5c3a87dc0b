"""Finds the image files that the rows of a table name."""

from __future__ import annotations

import contextlib
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headfit.images.sources.links import LEADS_OUT, Links, is_link
from headfit.util.tables import western

NO_FILE, OUTSIDE = "no such file", "a path outside the root"


class UnusableError(Exception):
    """A row has a fault; the arguments are its reason and what the row holds."""


class Finder:
    """Finds the files of paths below a root; ``links`` says which links are followed."""

    def __init__(self, root: Path, links: Links) -> None:
        self.links = links
        self.root = str(root)
        self.name = root.name
        self.prefixes = {str(each / "_")[:-1] for each in (root, root.resolve())}

    def find(self, cell: Any) -> str:
        """Return the path of an image file, posix and relative to the root.

        Raises:
            UnusableError: there is none, or it lies outside the root.
        """
        if is_missing(cell):
            raise UnusableError("no path", "")
        text = str(whole(cell))
        inside = points_outside = False
        for spelling in _spellings(text, self.name):
            # as text, so that `..` stays below the root
            full = os.path.normpath(os.path.join(self.root, spelling))  # noqa: PTH118
            prefix = next((each for each in self.prefixes if full.startswith(each)), None)
            if prefix is not None:
                inside = True
                if os.path.isfile(full):  # noqa: PTH113
                    if self.links.holds(full):
                        return full[len(prefix) :].replace(os.sep, "/")
                    points_outside = True
        shown = western(text)
        if points_outside:
            self.links.left_out[shown] = None
            raise UnusableError(LEADS_OUT, shown)
        if "://" in text:
            raise UnusableError("a web address, not a file", shown)
        raise UnusableError(NO_FILE if inside else OUTSIDE, shown)


def _spellings(text: str, folder: str) -> Iterator[str]:
    """Yield a path as it stands, and then as other programs and systems write it."""
    yield text
    plain = western(text).strip().replace("\\", "/")
    yield plain
    for form in ("NFC", "NFD"):
        yield unicodedata.normalize(form, plain)
    yield plain.removeprefix(f"{folder}/")


class Folders:
    """The files in the folders of a table, but for those that a row has named.

    Each folder is looked at once: to ask a million times whether a file exists takes long.
    """

    def __init__(self, root: Path, links: Links) -> None:
        self._links = links
        self._root = str(root / "_")[:-1]
        self._files: dict[str, set[str]] = {}

    def take(self, cell: Any) -> str | None:
        """Return the name of a file, posix and relative to the root, if a cell plainly names one.

        None if it does not, or an earlier cell did.
        """
        if not isinstance(cell, str):
            return None
        name = cell.removeprefix(self._root)
        cut = name.rfind("/") + 1
        folder, file = name[:cut], name[cut:]
        files = self.files(folder)
        if file not in files:
            return None
        files.remove(file)
        return name

    def files(self, folder: str) -> set[str]:
        """Return the files in a folder that no row has named; none unless its name is plain.

        Args:
            folder: posix, relative to the root, with a slash at its end; empty for the root.
        """
        if folder not in self._files:
            full = self._root + folder.replace("/", os.sep)
            plain = os.path.normpath(full) + os.sep == full  # as text below the root, too
            self._files[folder] = set(self._files_in(full)) if plain else set()
        return self._files[folder]

    def _files_in(self, full: str) -> Iterator[str]:
        if not self._links.holds(full + "_"):  # any name in it
            return
        with contextlib.suppress(OSError, ValueError), os.scandir(full) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # a link that leads in circles
                    if entry.is_file() and (not is_link(entry) or self._links.holds(entry.path)):
                        yield entry.name


def whole(cell: Any) -> Any:
    """Write 3.0 as 3: whole numbers turn into that where a column has gaps."""
    return int(cell) if isinstance(cell, float) and cell.is_integer() else cell


def is_missing(cell: Any) -> bool:
    """Whether a cell is empty, as any kind of table writes that."""
    if cell is None or isinstance(cell, str):
        return not cell
    # not a number differs from itself; pandas' NA refuses the question
    return type(cell).__name__ == "NAType" or bool(cell != cell)
