"""What a source of images offers, and what holds of every list of images."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PureWindowsPath
from typing import Any, BinaryIO, ClassVar, Protocol, Self

import numpy as np

from headfit.errors import DataError, ImageError, UsageError
from headfit.images.decode import open_file, read_bytes
from headfit.images.sources.links import IN_ARCHIVE, LEADS_OUT, Links
from headfit.images.targets import CLASS, KINDS, LABELS, NUMBER, SEPARATOR, Targets
from headfit.util.nouns import counted

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS: Mapping[str, str] = {
    **{"train": TRAIN, "test": TEST},
    **dict.fromkeys(("val", "valid", "validation"), VALIDATION),
}
"""Accepted name of a split → its name."""
REMEDIES = {
    LEADS_OUT: "If you trust what they point to, set `follow_links=True`.",
    IN_ARCHIVE: "To use what they point to, unpack the archive and give the folder.",
}
"""What to do about links that are left out; a note of the source says it."""
_SHOWN = 3


@dataclass(frozen=True)
class Skipped:
    """A file or folder that was passed over, and why.

    Attributes:
        path: posix, relative to the source.
        reason: a short clause.
        label: the class that it would belong to; empty if it lies outside of classes.
        is_told: whether a note of the source tells of it.
    """

    path: str
    reason: str
    label: str = ""
    is_told: bool = False


@dataclass(frozen=True, eq=False)
class Listing:
    """What a source holds, by columns, in the order of the index.

    A million rows take little: equal texts should be one object.

    Attributes:
        paths: the name of each image within the source, posix; unique.
        labels: what each is to be predicted as: its class, a collection of its labels, or a tuple
            of its numbers.
        splits: ``"train"``, ``"validation"`` or ``"test"`` for each.
        groups: images of one group stay in one fold; None for an image that stands alone, and
            None if the source names no groups.
        weights: how much each image counts, float64 (n,); None if all count alike.
        unlabelled: images beside the training images that have no class.
        skipped: what was passed over.
        notes: sentences that a run should say, such as what was guessed.
        kind: of the targets.
        names: of the numbers, and of labels where the source names them all.
    """

    paths: Sequence[str] = ()
    labels: Sequence[Any] = ()
    splits: Sequence[str] = ()
    groups: Sequence[str | None] | None = None
    weights: np.ndarray | None = None
    unlabelled: Sequence[str] = ()
    skipped: Sequence[Skipped] = ()
    notes: Sequence[str] = ()
    kind: str = CLASS
    names: Sequence[str] = ()

    def targets(self) -> Targets:
        """Return what a model is to predict."""
        if self.kind == CLASS:
            return Targets.of_classes(self.labels, self.weights)
        if self.kind == LABELS:
            return Targets.of_labels(self.labels, self.weights)
        return Targets.of_numbers(self.names, np.array(self.labels, np.float64), self.weights)


class ImageSource(Protocol):
    """Lists images and opens them: a folder, a table, an archive."""

    @property
    def root(self) -> Path | None:
        """The folder that the images' names are relative to; None if they lie in none."""

    @property
    def location(self) -> str:
        """Where the images are, as messages show it: the path of a folder."""

    @property
    def name(self) -> str:
        """A short name that does not give away the rest of the disk."""

    @property
    def argument(self) -> str:
        """What a command line takes for the source; a placeholder if it can take none."""

    @property
    def options(self) -> Mapping[str, Any]:
        """What else a command needs to read it alike: arguments by their names in Python."""

    def listing(self) -> Listing:
        """List the images.

        Raises:
            DataError: the source cannot be read, or holds no images to learn from.
        """

    def read_bytes(self, path: str) -> bytes:
        """Return the content of an image's file.

        Args:
            path: as the listing has it.

        Raises:
            ImageError: it cannot be read; the message is the reason alone.
        """

    def to_dict(self) -> dict[str, Any]:
        """Return what ``results.json`` stores, so that the images can be found again."""


@dataclass(frozen=True)
class LocalSource:
    """Image files below one folder; the base of sources on this machine.

    Attributes:
        root: the folder, absolute.
        follow_links: whether links that point outside the folder are followed.
    """

    root: Path
    follow_links: bool = field(default=False, kw_only=True)
    kind: ClassVar[str]

    @property
    def location(self) -> str:
        """Path of the folder."""
        return str(self.root)

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.root.name or str(self.root)

    @property
    def argument(self) -> str:
        """Path of the folder."""
        return str(self.root)

    @property
    def options(self) -> Mapping[str, Any]:
        """Whether links are followed, if they are."""
        return links_followed(self.follow_links)

    @cached_property
    def links(self) -> Links:
        """The links in the folder."""
        return Links(self.root, self.follow_links)

    def read_bytes(self, path: str) -> bytes:
        """Return the content of an image's file."""
        return read_bytes(self._place(path))

    def open(self, path: str) -> BinaryIO:
        """Open an image's file, for a look at its start.

        Raises:
            ImageError: it cannot be opened.
        """
        return open_file(self._place(path))

    def to_dict(self) -> dict[str, Any]:
        """Return the kind, the path, and whether links are followed."""
        return {"kind": self.kind, "path": str(self.root), **links_followed(self.follow_links)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self | None:
        """Find the folder again; None if it is not there."""
        path, follow = local_path(record.get("path")), record.get("follow_links") is True
        return cls(path, follow_links=follow) if path is not None and path.is_dir() else None

    def _place(self, path: str) -> Path:
        """Say where a file lies; a list of images from elsewhere may name what a link points to."""
        place = self.root / path
        if not self.links.holds(place):
            raise ImageError(LEADS_OUT)
        return place


def links_followed(follow_links: bool) -> dict[str, bool]:
    """Say whether links are followed, for options and records: nothing unless they are."""
    return {"follow_links": True} if follow_links else {}


def target_chosen(target: str | None, separator: str) -> dict[str, str]:
    """Say what the user chose of the targets, for options: nothing unless it is chosen."""
    chosen = {} if target is None else {"target": target}
    return chosen if separator == SEPARATOR else {**chosen, "label_separator": separator}


def stored_target(record: Mapping[str, Any]) -> tuple[str | None, str] | None:
    """Read what :func:`target_chosen` gave: target and separator; None if it is neither."""
    target, separator = record.get("target"), record.get("label_separator", SEPARATOR)
    valid = (target is None or target in KINDS) and isinstance(separator, str)
    return (target, separator) if valid else None


def as_path(argument: str, value: Any) -> Path:
    """Return the path that an argument gives.

    Raises:
        UsageError: it is no path.
    """
    if not isinstance(value, str | os.PathLike):
        raise UsageError.invalid(argument, value, "a path")
    return Path(value)


def local_path(value: Any) -> Path | None:
    """Return a path that a file of results names; None unless it is one of this machine."""
    # on Windows the mere look at \\host\share asks that host; slashes may be mixed
    if not isinstance(value, str) or not value or PureWindowsPath(value).drive.startswith("\\"):
        return None
    return Path(value)


def check_classes(listing: Listing, where: str, hint: str = "") -> None:
    """Check that there are images to train on: of two classes, of each label, or with numbers.

    Args:
        listing: the images.
        where: they are, for the message.
        hint: a sentence to add if there is one class only.

    Raises:
        DataError: names the class or label.
    """
    if listing.kind == NUMBER:
        if TRAIN not in listing.splits:
            raise DataError(f"No training images in {where}. Add some.")
        return
    several = listing.kind == LABELS
    pairs = dict.fromkeys(
        (label, split)
        for labels, split in zip(listing.labels, listing.splits, strict=True)
        for label in (labels if several else (labels,))
    )
    trained = {label for label, split in pairs if split == TRAIN}
    for label, split in pairs:
        if label not in trained:
            raise DataError(
                f"The {'label' if several else 'class'} {quote(label)} has {split} images but no "
                "training images. Add training images of it or remove it."
            )
    if several:
        _check_labels(listing.names, trained, where)
    elif len(trained) == 1:
        count = counted(len(listing.paths), "image")
        raise DataError(
            f"Only one class in {where}: {quote(*trained)} ({count}). At least two are needed."
            f"{hint}"
        )


def _check_labels(names: Iterable[str], trained: Collection[str], where: str) -> None:
    """Check that there are labels, and that no column of one is without images."""
    if not trained:
        raise DataError(f"No image in {where} has a label. At least one label is needed.")
    unused = sorted(set(names).difference(trained))
    if unused:
        shown = ", ".join(map(quote, unused[:_SHOWN])) + (", …" if len(unused) > _SHOWN else "")
        one = len(unused) == 1
        raise DataError(
            f"No image in {where} has the label{'' if one else 's'} {shown}. Add images or leave "
            f"{'it' if one else 'them'} out."
        )


def links_note(reason: str, paths: Collection[str], where: str | Path) -> str:
    """Say which links of a source are left out, and what to do; empty if none are."""
    if not paths:
        return ""
    names = sorted(paths)
    shown = ", ".join(map(quote, names[:_SHOWN])) + (", …" if len(names) > _SHOWN else "")
    one = len(names) == 1
    place = f"in {quote(where)}"
    if reason == LEADS_OUT:
        place = f"point{'s' * one} outside {quote(where)} and"
    verb = "is" if one else "are"
    return f"{counted(len(names), 'link')} {place} {verb} left out: {shown}. {REMEDIES[reason]}"


def links_remedy(reasons: Iterable[str | None]) -> str:
    """Say what to do where an error may be due to links that are left out; empty if it is not."""
    some = set(reasons)
    return next((f" {remedy}" for reason, remedy in REMEDIES.items() if reason in some), "")


def quote(name: str | Path) -> str:
    """Quote a name for a message of one line, whatever characters it has."""
    text = str(name)
    return f"'{text}'" if text.isprintable() else repr(text)
