"""Which images there are, of which class and in which split: a folder read once, by names only.

Two layouts are recognised::

    photos/cat/*.jpg            photos/train/cat/*.jpg
    photos/dog/deep/er/*.png    photos/val/dog/*.jpg      (or valid, validation; test)
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from headfit.errors import DataError, UsageError
from headfit.images.decode import IMAGE_SUFFIXES
from headfit.images.targets import Targets
from headfit.util import html as display

TRAIN, VALIDATION, TEST = "train", "validation", "test"
_SPLIT_FOLDERS = {
    **{"train": TRAIN, "test": TEST},
    **dict.fromkeys(("val", "valid", "validation"), VALIDATION),
}
# What operating systems leave in folders without being asked.
_CLUTTER = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
_LAYOUT = "expected one sub-folder for each class, with its images inside"


@dataclass(frozen=True)
class Skipped:
    """A file or folder (posix, relative to the root) that was passed over, and why."""

    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class ImageIndex:
    """The images of a data set in an order that is the same on every operating system.

    Attributes:
        root: the folder, absolute.
        paths: posix, relative to the root, sorted by class and then path.
        labels: int64 (n,), an index into ``classes``; read-only.
        classes: the class names, sorted by code point.
        splits: ``"train"``, ``"validation"`` or ``"test"`` for each image.
        skipped: what was passed over, sorted by path.
    """

    root: Path
    paths: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    splits: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()

    @classmethod
    def from_directory(
        cls, folder: str | os.PathLike[str], *, min_per_class: int = 1
    ) -> ImageIndex:
        """Index a folder of class folders, or of ``train``/``val``/``test`` folders of those.

        The second layout is assumed only if there is a ``train`` folder and no sub-folder with
        another name. Hidden entries are ignored. Links are followed; a folder that a class
        reaches twice is read once.

        Args:
            folder: the root.
            min_per_class: the fewest training and validation images that a class may have.

        Raises:
            UsageError: the folder is absent or is a file, or ``min_per_class`` is below 1.
            DataError: a folder cannot be read, there are no images or fewer than two classes, a
                class has too few images, or one is missing from ``train``.
        """
        if min_per_class < 1:
            raise UsageError(f"min_per_class is {min_per_class}; expected at least 1.")
        root = _check_root(folder)
        scan = _Scan(root)
        scan.read()
        _check_found(scan)
        classes = tuple(sorted({image.label for image in scan.images}))
        numbers = {name: number for number, name in enumerate(classes)}
        images = sorted(scan.images)
        index = cls(
            root=root,
            paths=tuple(image.path for image in images),
            labels=_frozen([numbers[image.label] for image in images]),
            classes=classes,
            splits=tuple(image.split for image in images),
            skipped=_by_path(scan.skipped),
        )
        _require(index, min_per_class, "add images to them or lower min_per_class")
        return index

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def targets(self) -> Targets:
        """What a model is to predict for each image: its class."""
        return Targets(self.classes, self.labels)

    def counts(self) -> dict[str, int]:
        """Return how many images each class has, over all splits."""
        return self.targets.counts()

    def path(self, i: int) -> Path:
        """Return where image ``i`` lies."""
        return self.root / self.paths[i]

    def subset(self, which: np.ndarray, extra_skipped: Iterable[Skipped] = ()) -> ImageIndex:
        """Return some of the images; the classes stay, even one that is left without images.

        Args:
            which: bool (n,) mask, or int (m,) positions in the order wanted.
            extra_skipped: what to add to ``skipped``.
        """
        kept = np.arange(len(self))[which]
        return replace(
            self,
            paths=tuple(self.paths[i] for i in kept),
            labels=_frozen(self.labels[kept]),
            splits=tuple(self.splits[i] for i in kept),
            skipped=_by_path((*self.skipped, *extra_skipped)),
        )

    # both show the folder's name only: notebooks are given to others, who need not know the disk
    def __repr__(self) -> str:
        parts = {split: self.splits.count(split) for split in (TRAIN, VALIDATION, TEST)}
        listed = ", ".join(f"{count} {split}" for split, count in parts.items() if count)
        more = f" ({listed})" if set(self.splits) - {TRAIN} else ""
        name = _show(self.root.name or self.root)
        return f"<ImageIndex {name}: {len(self)} images{more}, {len(self.classes)} classes>"

    def _repr_html_(self) -> str:
        caption = (
            f"{self.root.name or self.root}: {len(self):,} images, {len(self.skipped):,} skipped"
        )
        rows = [(name, f"{count:,}") for name, count in self.counts().items()]
        return display.table(("class", "images"), rows, caption)


def require_per_class(index: ImageIndex, folds: int) -> None:
    """Check that each class can have an image in every fold.

    Args:
        index: the images; those of the test split do not count.
        folds: the number of folds.

    Raises:
        DataError: a class has too few; names each such class and its count.
    """
    _require(index, folds, "add images to them or lower --folds", f" for {folds} folds")


def _require(index: ImageIndex, fewest: int, remedy: str, purpose: str = "") -> None:
    usable = index.labels[np.array(index.splits, dtype=object) != TEST]
    counts = Targets(index.classes, usable).counts()
    few = [f"{_show(name)} ({count})" for name, count in counts.items() if count < fewest]
    if few:
        raise DataError(
            f"Classes with too few images: {', '.join(few)}; "
            f"at least {fewest} each are needed{purpose}: {remedy}."
        )


class _Found(NamedTuple):
    label: str
    path: str
    split: str


@dataclass
class _Scan:
    """One walk over a folder; collects what it finds."""

    root: Path
    images: list[_Found] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    stray_images: int = 0

    def read(self) -> None:
        splits = _split_folders(self.root)
        if not splits:
            self._read_classes("", TRAIN)
            return
        for entry in _entries(self.root):
            if not _asks(entry.is_dir):
                self._skip_outside(entry.name, entry)
        for split, name in splits.items():
            self._read_classes(f"{name}/", split)

    def _read_classes(self, prefix: str, split: str) -> None:
        for entry in _entries(self.root / prefix):
            if _asks(entry.is_dir):
                self._read_class(prefix + entry.name, entry.name, split)
            else:
                self._skip_outside(prefix + entry.name, entry)

    def _read_class(self, folder: str, label: str, split: str) -> None:
        before = len(self.images)
        # Seeded with the folders above, which a link inside would lead back to.
        seen = {self.root.resolve(), (self.root / folder).parent.resolve()}
        waiting = [folder]
        while waiting:
            current = waiting.pop()
            real = (self.root / current).resolve()
            if real in seen:
                self._skip(current, "leads to a folder that is read already")
                continue
            seen.add(real)
            for entry in reversed(_entries(self.root / current)):
                path = f"{current}/{entry.name}"
                if _asks(entry.is_dir):
                    waiting.append(path)
                elif reason := _why_not_image(entry):
                    self._skip(path, reason)
                else:
                    self.images.append(_Found(label, path, split))
        if len(self.images) == before:
            self._skip(folder, "folder without images, so not a class")

    def _skip_outside(self, path: str, entry: os.DirEntry[str]) -> None:
        reason = _why_not_image(entry)
        self.stray_images += reason is None
        self._skip(path, reason or "lies outside any class folder")

    def _skip(self, path: str, reason: str) -> None:
        self.skipped.append(Skipped(path, reason))


def _split_folders(root: Path) -> dict[str, str]:
    """Return split -> folder name; empty if the sub-folders of the root are classes."""
    names = [entry.name for entry in _entries(root) if _asks(entry.is_dir)]
    known = [_SPLIT_FOLDERS.get(name.lower()) for name in names]
    if TRAIN not in known or None in known:
        return {}
    splits: dict[str, str] = {}
    for name in names:
        other = splits.setdefault(_SPLIT_FOLDERS[name.lower()], name)
        if other != name:
            raise DataError(
                f"{_show(other)} and {_show(name)} in {_show(root)} are one split; keep one."
            )
    return splits


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what lies in a folder, by name, without hidden files and clutter."""
    try:
        with os.scandir(folder) as found:
            kept = [entry for entry in found if not _is_clutter(entry.name)]
    except OSError as error:
        raise DataError(
            f"The folder {_show(folder)} cannot be read ({error.strerror}); "
            "make it readable or move it away."
        ) from error
    return sorted(kept, key=lambda entry: entry.name)


def _is_clutter(name: str) -> bool:
    return name.startswith(".") or name.lower() in _CLUTTER


def _asks(question: Callable[[], bool]) -> bool:
    """Answer no where the system gives no answer, as for a link in a circle."""
    try:
        return question()
    except OSError:
        return False


def _why_not_image(entry: os.DirEntry[str]) -> str | None:
    suffix = PurePosixPath(entry.name).suffix
    if suffix.lower() not in IMAGE_SUFFIXES:
        return f"not an image by its suffix {suffix!r}" if suffix else "has no suffix"
    if _asks(entry.is_file):
        return None
    return "broken link" if entry.is_symlink() else "not a regular file"


def _check_root(folder: str | os.PathLike[str]) -> Path:
    root = Path(folder).absolute()
    try:
        mode = root.stat().st_mode
    except PermissionError as error:
        raise DataError(f"The folder {_show(root)} cannot be reached (no permission).") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise UsageError(f"There is no folder {_show(root)}; check the path.") from error
    if not stat.S_ISDIR(mode):
        raise UsageError(f"{_show(root)} is a file; {_LAYOUT}.")
    return root


def _check_found(scan: _Scan) -> None:
    where = _show(scan.root)
    if not scan.images and scan.stray_images:
        raise DataError(
            f"No class folders in {where}: {scan.stray_images} images lie outside any; {_LAYOUT}."
        )
    if not scan.images:
        suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
        raise DataError(
            f"No images in {where} ({len(scan.skipped)} other entries); {_LAYOUT} ({suffixes})."
        )
    trained = {image.label for image in scan.images if image.split == TRAIN}
    for image in scan.images:
        if image.label not in trained:
            raise DataError(
                f"The class {_show(image.label)} has {image.split} images, but none in train; "
                "add training images of it or remove it."
            )
    if len(trained) == 1:
        raise DataError(
            f"Only one class in {where}: {_show(*trained)} ({len(scan.images)} images); at least "
            f"two class folders are needed.{_deeper_hint(scan)}"
        )


def _deeper_hint(scan: _Scan) -> str:
    """Help who gave the folder above the class folders."""
    parts = [image.path.split("/") for image in scan.images]
    is_above = all(len(path) > 2 for path in parts) and len({path[1] for path in parts}) > 1
    folder = scan.images[0].label
    if not is_above or parts[0][0] != folder:
        return ""
    return f" If its sub-folders are the classes, give {_show(scan.root / folder)}."


def _show(name: str | Path) -> str:
    """Quote a name for a message of one line, whatever characters it has."""
    text = str(name)
    return f"'{text}'" if text.isprintable() else repr(text)


def _by_path(skipped: Iterable[Skipped]) -> tuple[Skipped, ...]:
    return tuple(sorted(skipped, key=lambda one: one.path))


def _frozen(labels: object) -> np.ndarray:
    array = np.array(labels, dtype=np.int64)
    array.setflags(write=False)
    return array
