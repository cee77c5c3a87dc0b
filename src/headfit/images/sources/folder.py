"""A folder of class folders, read once, by names only; see :mod:`.layout` for how."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headfit.errors import DataError, UsageError
from headfit.images.sources.layout import EXPECTED, Layout, read_layout
from headfit.images.sources.links import LEADS_OUT, Links
from headfit.images.sources.once import read_once
from headfit.images.sources.reading import listed
from headfit.images.sources.source import (
    Listing,
    LocalSource,
    as_path,
    check_classes,
    links_followed,
    links_note,
    links_remedy,
    quote,
)
from headfit.images.sources.tree import table_hint
from headfit.images.sources.walk import Entry, walk


@dataclass(frozen=True)
class FolderSource(LocalSource):
    """Images in class folders, or in ``train``/``val``/``test`` folders of those.

    Attributes:
        splits: whether the folders are splits rather than classes; if None, their names decide.
        skip_empty_classes: whether classes without images are left out rather than refused.
    """

    kind = "folder"
    splits: bool | None = None
    skip_empty_classes: bool = False

    @classmethod
    def of(cls, folder: str | os.PathLike[str], **options: Any) -> FolderSource:
        """Check that the folder is there.

        Args:
            folder: the folder.
            options: values of the attributes.

        Raises:
            UsageError: it is absent or is a file, or an option has no valid value.
            DataError: it cannot be reached.
        """
        for name, value in options.items():
            if not (isinstance(value, bool) or (name == "splits" and value is None)):
                raise UsageError.invalid(name, value, "True or False")
        return cls(_check_root(folder), **options)

    @property
    def options(self) -> Mapping[str, Any]:
        """Arguments that read it alike, by their names in Python; the defaults are left out."""
        splits = {} if self.splits is None else {"splits": self.splits}
        return {**links_followed(self.follow_links), **splits}

    def listing(self) -> Listing:
        """List the images, sorted by class and then path."""
        links = Links(self.root, self.follow_links)
        layout = read_layout(
            walk(self.root, links),
            quote(self.root),
            splits=self.splits,
            skip_empty_classes=self.skip_empty_classes,
        )
        hint = _deeper_hint(self.root, layout)
        classes = set(layout.labels)
        layout = read_once(layout, links)
        if (lost := classes.difference(layout.labels)) and not self.skip_empty_classes:
            raise DataError(
                f"Classes without images of their own in {quote(self.root)}: "
                f"{listed(map(quote, sorted(lost)))}. Their images are linked into other "
                "classes or splits too: remove those links, or leave these classes out with "
                "`skip_empty_classes=True`."
            )
        note = links_note(LEADS_OUT, links.left_out, self.root)
        listing = Listing(**{**vars(layout), "notes": [*layout.notes, *filter(None, [note])]})
        hint += links_remedy([LEADS_OUT] if note else [])
        check_classes(listing, quote(self.root), hint)
        return listing


def _check_root(folder: str | os.PathLike[str]) -> Path:
    root = as_path("folder", folder).absolute()
    try:
        mode = root.stat().st_mode
    except PermissionError as error:
        raise DataError(f"The folder {quote(root)} cannot be reached (no permission).") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise UsageError(f"There is no folder {quote(root)}. Check the path.") from error
    if not stat.S_ISDIR(mode):
        raise UsageError(f"{quote(root)} is a file. {EXPECTED}.")
    return root


def _deeper_hint(root: Path, layout: Layout) -> str:
    """Help who gave the folder above the class folders."""
    parts = [path.split("/") for path in layout.paths]
    is_above = all(len(path) > 2 for path in parts) and len({path[1] for path in parts}) > 1
    if not is_above or layout.notes:
        outside = [each for each in layout.skipped if "/" not in each.path]
        return table_hint(Entry(each.path, each.reason) for each in outside)
    return f" If its sub-folders are the classes, give {quote(root / parts[0][0])}."
