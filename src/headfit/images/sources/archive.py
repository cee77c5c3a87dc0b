"""A .zip or .tar archive of class folders, read where it lies: nothing is unpacked to disk."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Self

from headfit.errors import DataError, ImageError, UsageError
from headfit.images.sources.layout import entries_of, read_layout
from headfit.images.sources.links import IN_ARCHIVE
from headfit.images.sources.members import OUTSIDE, Members, open_members
from headfit.images.sources.source import (
    Listing,
    Skipped,
    as_path,
    check_classes,
    links_note,
    links_remedy,
    local_path,
    quote,
)

SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz")


@dataclass(frozen=True)
class ArchiveSource:
    """Images in class folders within an archive.

    Attributes:
        path: of the archive, absolute.
        splits: whether its folders are splits rather than classes; if None, their names decide.
        skip_empty_classes: whether classes without images are left out rather than refused.
    """

    path: Path
    splits: bool | None = None
    skip_empty_classes: bool = False
    kind = "archive"
    root = None

    @classmethod
    def of(cls, archive: str | os.PathLike[str], **options: Any) -> ArchiveSource:
        """Check that the archive is there.

        Raises:
            UsageError: it is not, or an option has no valid value.
        """
        for name, value in options.items():
            if not (isinstance(value, bool) or (name == "splits" and value is None)):
                raise UsageError.invalid(name, value, "True or False")
        path = as_path("archive", archive).absolute()
        if not path.is_file():
            raise UsageError(f"There is no file {quote(path)}. Check the path.")
        return cls(path, **options)

    @property
    def location(self) -> str:
        """Path of the archive."""
        return str(self.path)

    @property
    def name(self) -> str:
        """Name of the archive."""
        return self.path.name

    @property
    def argument(self) -> str:
        """Path of the archive."""
        return str(self.path)

    @property
    def options(self) -> Mapping[str, Any]:
        """What the user chose."""
        return {} if self.splits is None else {"splits": self.splits}

    def listing(self) -> Listing:
        """List the images, sorted by class and then path.

        Raises:
            DataError: the archive is damaged, encrypted, over its limits, or holds no class
                folders.
        """
        members, where = self._members, quote(self.path)
        outside = [Skipped(each.path, OUTSIDE) for each in members.others if each.reason == OUTSIDE]
        inside = [each for each in members.others if each.reason != OUTSIDE]
        layout = read_layout(
            [*entries_of(members.names, members.start), *inside],
            where,
            splits=self.splits,
            skip_empty_classes=self.skip_empty_classes,
            unwrap=True,
        )
        links = [each.path for each in members.others if each.reason == IN_ARCHIVE]
        listing = Listing(
            **{
                **vars(layout),
                "skipped": [*layout.skipped, *outside],
                "notes": [*layout.notes, *filter(None, [links_note(IN_ARCHIVE, links, self.path)])],
            }
        )
        check_classes(listing, where, links_remedy([IN_ARCHIVE] if links else []))
        return listing

    def read_bytes(self, path: str) -> bytes:
        """Return the content of an image's file; safe to call from many threads.

        Raises:
            ImageError: it cannot be read.
        """
        try:
            members = self._members
        except DataError as error:
            raise ImageError(str(error)) from error
        return members.read(path)

    def open(self, path: str) -> BinaryIO:
        """Open an image's file, for a look at its start.

        Raises:
            ImageError: it cannot be read.
        """
        return io.BytesIO(self.read_bytes(path))

    def to_dict(self) -> dict[str, Any]:
        """Return the kind and the path."""
        return {"kind": self.kind, "path": str(self.path)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self | None:
        """Find the archive again; None if it is not there."""
        path = local_path(record.get("path"))
        return cls(path) if path is not None and path.is_file() else None

    @cached_property
    def _members(self) -> Members:
        return open_members(self.path)
