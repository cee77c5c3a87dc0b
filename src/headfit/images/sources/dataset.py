"""A data set of Hugging Face ``datasets``: from a local folder, or by its name on the hub."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Self

import numpy as np

from headfit.errors import DataError, ImageError, UsageError
from headfit.images.sources.columns import Columns
from headfit.images.sources.dataset_rows import PREFIX, DatasetRequest, DatasetRows
from headfit.images.sources.labelling import check_target
from headfit.images.sources.source import (
    Listing,
    check_classes,
    links_followed,
    local_path,
    quote,
    stored_target,
    target_chosen,
)
from headfit.images.targets import CLASS, SEPARATOR


@dataclass(frozen=True)
class DatasetSource:
    """The images of a data set that the package ``datasets`` can load.

    Attributes:
        path: a folder of images or of ``save_to_disk``, absolute; or a name on the hub.
        columns: those that the user names.
        follow_links: whether image files may lie elsewhere than in the data set.
        target: what the user says that label columns mean; None lets their cells decide.
        separator: what stands between the labels in a cell.
    """

    path: str
    columns: Columns = field(default_factory=Columns)
    follow_links: bool = False
    target: str | None = None
    separator: str = SEPARATOR
    kind = "dataset"
    root = None

    @classmethod
    def of(
        cls,
        text: str,
        follow_links: bool = False,
        target: str | None = None,
        label_separator: str = SEPARATOR,
        **columns: str | Iterable[str] | None,
    ) -> DatasetSource:
        """Read ``hf:NAME_OR_FOLDER``."""
        name = text.removeprefix(PREFIX)
        if not name:
            raise UsageError.invalid("images", text, "hf: and the name or folder of a data set")
        check_target(target, label_separator)
        path = str(Path(name).absolute()) if Path(name).is_dir() else name
        return cls(path, Columns.wanted(columns), follow_links, target, label_separator)

    @property
    def location(self) -> str:
        """Folder or name of the data set."""
        return self.path

    @property
    def name(self) -> str:
        """Name of the data set."""
        return PurePosixPath(self.path).name or self.path

    @property
    def argument(self) -> str:
        """What a command line takes."""
        return PREFIX + self.path

    @property
    def options(self) -> Mapping[str, Any]:
        """The columns that the user chose, and whether links are followed."""
        columns = {f"{role}_column": name for role, name in self.columns.named().items()}
        chosen = target_chosen(self.target, self.separator)
        return {**columns, **links_followed(self.follow_links), **chosen}

    def listing(self) -> Listing:
        """List the images, sorted by class, if they have one, and then path.

        Raises:
            UsageError: ``datasets`` is not installed, or a column does not exist.
            DataError: the data set cannot be loaded, or it is not plain what its columns hold.
        """
        rows = self._rows
        images = sorted(rows.facts.items(), key=lambda image: image[0])
        if rows.labelling.kind == CLASS:
            images.sort(key=lambda image: image[1].label)
        facts = [each for _, each in images]
        groups = [each.group for each in facts]
        weights = np.array([each.weight for each in facts]) if rows.has_weights else None
        listing = Listing(
            [path for path, _ in images],
            [each.label for each in facts],
            [each.split for each in facts],
            groups if any(groups) else None,
            weights,
            skipped=rows.skipped,
            notes=rows.notes,
            kind=rows.labelling.kind,
            names=rows.labelling.names,
        )
        if not images:
            raise DataError(f"No image with a label in the data set {quote(self.path)}.")
        check_classes(listing, quote(self.path))
        return listing

    def read_bytes(self, path: str) -> bytes:
        """Return the content of an image's file.

        Raises:
            ImageError: it cannot be read.
        """
        try:
            return self._rows.read(path)
        except DataError as error:
            raise ImageError(str(error)) from error

    def open(self, path: str) -> BinaryIO:
        """Open an image's file, for a look at its start.

        Raises:
            ImageError: it cannot be read.
        """
        return io.BytesIO(self.read_bytes(path))

    def to_dict(self) -> dict[str, Any]:
        """Return the kind, the path, and what is needed to read it."""
        record = {"kind": self.kind, "path": self.path, "columns": self.columns.named()}
        chosen = target_chosen(self.target, self.separator)
        return {**record, **links_followed(self.follow_links), **chosen}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self | None:
        """Find a data set on this machine again; None if it is not there. Nothing is downloaded."""
        path = local_path(record.get("path"))
        columns, target = Columns.stored(record.get("columns")), stored_target(record)
        if path is None or not path.is_absolute() or not path.is_dir():
            return None
        if columns is None or target is None:
            return None
        return cls(str(path), columns, record.get("follow_links") is True, *target)

    @cached_property
    def _rows(self) -> DatasetRows:
        return DatasetRows(
            DatasetRequest(self.path, self.columns, self.follow_links, self.target, self.separator)
        )
