"""What a source of images offers, and what holds of every list of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from headfit.errors import DataError
from headfit.images.decode import read_bytes

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS: Mapping[str, str] = {
    **{"train": TRAIN, "test": TEST},
    **dict.fromkeys(("val", "valid", "validation"), VALIDATION),
}
"""Accepted name of a split → its name."""


@dataclass(frozen=True)
class Skipped:
    """A file or folder that was passed over, and why.

    Attributes:
        path: posix, relative to the source.
        reason: a short clause.
    """

    path: str
    reason: str


@dataclass(frozen=True, order=True)
class ImageRecord:
    """One image of a source.

    Attributes:
        label: its class.
        path: its name within the source, posix; unique.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        group: images of one group stay in one fold; None if the source does not say.
    """

    label: str
    path: str
    split: str = TRAIN
    group: str | None = None


@dataclass(frozen=True)
class Listing:
    """What a source holds.

    Attributes:
        records: the images, in the order of the index.
        skipped: what was passed over.
    """

    records: Sequence[ImageRecord]
    skipped: Sequence[Skipped] = ()


class ImageSource(Protocol):
    """Lists images and opens them: a folder, a list of files."""

    @property
    def location(self) -> str:
        """Where the images are, as messages show it: the path of a folder."""

    @property
    def name(self) -> str:
        """A short name that does not give away the rest of the disk."""

    @property
    def argument(self) -> str:
        """What a command line takes for the source; a placeholder if it can take none."""

    def listing(self) -> Listing:
        """List the images.

        Raises:
            DataError: the source cannot be read, or holds no images to learn from.
        """

    def read_bytes(self, path: str) -> bytes:
        """Return the content of an image's file.

        Args:
            path: of its record.

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
    """

    root: Path
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

    def read_bytes(self, path: str) -> bytes:
        """Return the content of an image's file."""
        return read_bytes(self.root / path)

    def to_dict(self) -> dict[str, Any]:
        """Return the kind and the path."""
        return {"kind": self.kind, "path": str(self.root)}


def check_classes(records: Sequence[ImageRecord], where: str, hint: str = "") -> None:
    """Check that there are two classes, each with training images.

    Args:
        records: the images.
        where: they are, for the message.
        hint: a sentence to add if there is one class only.

    Raises:
        DataError: names the class.
    """
    trained = {record.label for record in records if record.split == TRAIN}
    for record in records:
        if record.label not in trained:
            raise DataError(
                f"The class {quote(record.label)} has {record.split} images but no training "
                "images. Add training images of it or remove it."
            )
    if len(trained) == 1:
        raise DataError(
            f"Only one class in {where}: {quote(*trained)} ({len(records)} images). At least two "
            f"are needed.{hint}"
        )


def quote(name: str | Path) -> str:
    """Quote a name for a message of one line, whatever characters it has."""
    text = str(name)
    return f"'{text}'" if text.isprintable() else repr(text)
