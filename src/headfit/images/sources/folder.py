"""A folder of class folders, read once, by names only.

Two layouts are recognised::

    photos/cat/*.jpg            photos/train/cat/*.jpg
    photos/dog/deep/er/*.png    photos/val/dog/*.jpg      (or valid, validation; test)
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from headfit.errors import DataError, UsageError
from headfit.images.decode import IMAGE_SUFFIXES
from headfit.images.sources.source import (
    SPLITS,
    TRAIN,
    Listing,
    LocalSource,
    Skipped,
    check_classes,
    quote,
)

# what operating systems put into folders
_CLUTTER = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
_LAYOUT = "Expected one sub-folder for each class, with its images inside"


@dataclass(frozen=True)
class FolderSource(LocalSource):
    """Images in class folders, or in ``train``/``val``/``test`` folders of those.

    The second layout is assumed only if there is a ``train`` folder and no sub-folder with another
    name. Hidden entries are ignored. Links are followed; a folder that a class reaches twice is
    read once.
    """

    kind = "folder"

    @classmethod
    def of(cls, folder: str | os.PathLike[str]) -> FolderSource:
        """Check that the folder is there.

        Raises:
            UsageError: it is absent or is a file.
            DataError: it cannot be reached.
        """
        return cls(_check_root(folder))

    def listing(self) -> Listing:
        """List the images, sorted by class and then path."""
        scan = _Scan(self.root)
        scan.read()
        _check_images(scan)
        labels, paths, splits = zip(*sorted(scan.records), strict=True)
        listing = Listing(paths, labels, splits, skipped=scan.skipped)
        check_classes(listing, quote(self.root), _deeper_hint(scan))
        return listing


class _Record(NamedTuple):
    label: str
    path: str
    split: str


@dataclass
class _Scan:
    """One walk over a folder; collects what it finds."""

    root: Path
    records: list[_Record] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    stray_images: int = 0

    def read(self) -> None:
        splits = _split_folders(self.root)
        if not splits:
            self._read_classes("", TRAIN)
            return
        for entry in _entries(self.root):
            if not _is_true(entry.is_dir):
                self._skip_outside(entry.name, entry)
        for split, name in splits.items():
            self._read_classes(f"{name}/", split)

    def _read_classes(self, prefix: str, split: str) -> None:
        for entry in _entries(self.root / prefix):
            if _is_true(entry.is_dir):
                self._read_class(prefix + entry.name, entry.name, split)
            else:
                self._skip_outside(prefix + entry.name, entry)

    def _read_class(self, folder: str, label: str, split: str) -> None:
        before = len(self.records)
        # Seeded with the folders above, which a link inside would lead back to.
        seen = {self.root.resolve(), (self.root / folder).parent.resolve()}
        waiting = [folder]
        while waiting:
            current = waiting.pop()
            real = (self.root / current).resolve()
            if real in seen:
                self._skip(current, "leads to a folder that was read already")
                continue
            seen.add(real)
            for entry in reversed(_entries(self.root / current)):
                path = f"{current}/{entry.name}"
                if _is_true(entry.is_dir):
                    waiting.append(path)
                elif reason := _why_not_image(entry):
                    self._skip(path, reason)
                else:
                    self.records.append(_Record(label, path, split))
        if len(self.records) == before:
            self._skip(folder, "a folder without images, so not a class")

    def _skip_outside(self, path: str, entry: os.DirEntry[str]) -> None:
        reason = _why_not_image(entry)
        self.stray_images += reason is None
        self._skip(path, reason or "lies outside any class folder")

    def _skip(self, path: str, reason: str) -> None:
        self.skipped.append(Skipped(path, reason))


def _split_folders(root: Path) -> dict[str, str]:
    """Return split -> folder name; empty if the sub-folders of the root are classes."""
    names = [entry.name for entry in _entries(root) if _is_true(entry.is_dir)]
    roles = [SPLITS.get(name.lower()) for name in names]
    if TRAIN not in roles or None in roles:
        return {}
    splits: dict[str, str] = {}
    for name in names:
        other = splits.setdefault(SPLITS[name.lower()], name)
        if other != name:
            raise DataError(
                f"{quote(other)} and {quote(name)} in {quote(root)} are the same split. Keep one."
            )
    return splits


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what lies in a folder, by name, without hidden files and clutter."""
    try:
        with os.scandir(folder) as listed:
            entries = [entry for entry in listed if not _is_clutter(entry.name)]
    except OSError as error:
        raise DataError(
            f"The folder {quote(folder)} cannot be read ({error.strerror}). "
            "Make it readable or move it away."
        ) from error
    return sorted(entries, key=lambda entry: entry.name)


def _is_clutter(name: str) -> bool:
    return name.startswith(".") or name.lower() in _CLUTTER


def _is_true(question: Callable[[], bool]) -> bool:
    """Answer no where the system gives no answer, as for a link in a circle."""
    try:
        return question()
    except OSError:
        return False


def _why_not_image(entry: os.DirEntry[str]) -> str | None:
    suffix = PurePosixPath(entry.name).suffix
    if suffix.lower() not in IMAGE_SUFFIXES:
        return f"not an image by its suffix {suffix!r}" if suffix else "has no suffix"
    if _is_true(entry.is_file):
        return None
    return "broken link" if entry.is_symlink() else "not a regular file"


def _check_root(folder: str | os.PathLike[str]) -> Path:
    root = Path(folder).absolute()
    try:
        mode = root.stat().st_mode
    except PermissionError as error:
        raise DataError(f"The folder {quote(root)} cannot be reached (no permission).") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise UsageError(f"There is no folder {quote(root)}. Check the path.") from error
    if not stat.S_ISDIR(mode):
        raise UsageError(f"{quote(root)} is a file. {_LAYOUT}.")
    return root


def _check_images(scan: _Scan) -> None:
    where = quote(scan.root)
    if not scan.records and scan.stray_images:
        raise DataError(
            f"No class folders in {where}: {scan.stray_images} images lie outside any. {_LAYOUT}."
        )
    if not scan.records:
        suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
        raise DataError(
            f"No images in {where} ({len(scan.skipped)} other entries). {_LAYOUT} ({suffixes})."
        )


def _deeper_hint(scan: _Scan) -> str:
    """Help who gave the folder above the class folders."""
    parts = [image.path.split("/") for image in scan.records]
    is_above = all(len(path) > 2 for path in parts) and len({path[1] for path in parts}) > 1
    folder = scan.records[0].label
    if not is_above or parts[0][0] != folder:
        return ""
    return f" If its sub-folders are the classes, give {quote(scan.root / folder)}."
