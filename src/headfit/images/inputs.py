"""What a user gives to a classifier: files, folders, archives, lists, tables, or pixels."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from headfit.errors import ImageError, UsageError
from headfit.images.contract import Contract
from headfit.images.lists import list_file, standard_input
from headfit.images.patterns import Pattern
from headfit.images.read_ahead import ImageLike, PathLike, StoredImage
from headfit.images.sources.archive import SUFFIXES as ARCHIVES
from headfit.images.sources.dataset_rows import PREFIX
from headfit.images.sources.links import LEADS_OUT, Links
from headfit.images.sources.members import open_members
from headfit.images.sources.source import links_note
from headfit.images.sources.table import TablePaths
from headfit.images.sources.walk import is_clutter, read_elsewhere, walk, why_not_image
from headfit.util.tables import SUFFIXES as TABLES

STANDARD_INPUT = "-"
Part = Callable[[], Iterator[PathLike]]


class Inputs:
    """The image files that a user names, found as they are taken.

    Args:
        arguments: a folder stands for all images below it, as :func:`headfit.compare` finds them;
            a pattern for what it matches but hidden files, clutter and what headfit wrote itself;
            ``LIST.txt`` and ``@LIST`` for the files that they name; ``"-"`` for those named on
            standard input; a zip or tar file for the images in it; a table (``.csv``, ``.tsv``,
            ``.jsonl``, ``.parquet``) for the files that its rows name, even if they do not exist.
        follow_links: whether links are followed that point outside the folder, what stands before
            the first ``*`` of a pattern, or the root of a table.
        path_column: column of tables that holds the paths; found out if None.
        root: the folder that the paths in tables are relative to; that of the table if None.

    Raises:
        UsageError: one does not exist and, as a pattern, matches nothing, or an option of tables is
            given without one. While images are taken: a folder holds none, or a list cannot be
            read.
        DataError: a table cannot be read, or it is not plain which column holds the paths.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        follow_links: bool = False,
        *,
        path_column: str | None = None,
        root: Path | None = None,
    ) -> None:
        self._links: list[Links] = []
        self._parts: list[str | Part] = []
        files = (file for each in arguments for file in self._find(each, follow_links))
        self.notes: list[str] = []
        """Sentences about how tables are read."""
        tables = False
        for part in files:
            if isinstance(part, str) and part.lower().endswith(TABLES):
                tables = True
                table = TablePaths.of(Path(part), path_column, root, follow_links=follow_links)
                self._links.append(table.links)
                self.notes += table.notes
                self._parts.append(partial(_images_listed, table))
            elif isinstance(part, str) and part.lower().endswith(ARCHIVES):
                self._parts.append(partial(_images_within, part))
            else:
                self._parts.append(part)
        self._endless = STANDARD_INPUT in arguments
        for name, value in (("path_column", path_column), ("root", root)):
            if value is not None and not tables:
                raise UsageError.invalid(name, str(value), "left out: it is for tables")

    def __iter__(self) -> Iterator[PathLike]:
        for part in self._parts:
            if isinstance(part, str):
                yield part
            else:
                yield from part()

    def left_out(self) -> list[str]:
        """Say which links were left out, once the images were taken."""
        notes = (links_note(LEADS_OUT, each.left_out, Path(each.top)) for each in self._links)
        return list(filter(None, notes))

    def _find(self, argument: str, follow_links: bool) -> Iterator[str | Part]:
        """Give files, and what lists the files of anything else."""
        path = Path(argument)
        if argument == STANDARD_INPUT:
            yield partial(standard_input)
        elif path.is_dir():
            self._links.append(Links(path, follow_links))
            yield partial(_images_below, path, self._links[-1])
        elif path.exists():
            is_list = path.suffix.lower() == ".txt" and path.is_file()
            yield partial(list_file, path) if is_list else argument
        elif argument.startswith("@") and Path(argument[1:]).is_file():
            yield partial(list_file, Path(argument[1:]))
        else:
            yield from self._match(argument, follow_links)

    def _match(self, argument: str, follow_links: bool) -> Iterator[str | Part]:
        pattern = Pattern(argument, follow_links)
        matches = pattern.matches()
        self._links.append(pattern.links)
        if not matches and argument.startswith(PREFIX):
            raise UsageError(
                f"'{argument}' is a data set, which compare and rank take. Give files, folders, "
                f"archives, tables or lists of images."
            )
        if not matches:
            note = links_note(LEADS_OUT, pattern.links.left_out, pattern.folder)
            raise UsageError(
                f"'{argument}' does not exist and, as a pattern, matches no file. {note}".rstrip()
            )
        folders = {Path(match) for match in matches if os.path.isdir(match)}  # noqa: PTH112
        for match in matches:
            if Path(match) in folders:
                yield partial(_images_below, Path(match), pattern.links, folders)
            else:
                yield from self._find(match, follow_links)

    def __length_hint__(self) -> int:
        """Count the images; 0 if only reading standard input would tell."""
        return 0 if self._endless else sum(1 for _ in iter(self))


def _images_below(folder: Path, links: Links, beside: Collection[Path] = ()) -> Iterator[str]:
    """Give the images below a folder; those that lie in one that is read beside it only there."""
    places = {os.path.realpath(each) for each in (folder, *beside)}
    images = (str(folder / path) for path in _once(folder, links, places))
    first = next(images, None)
    if first is None:
        note = links_note(LEADS_OUT, links.left_out, folder)
        raise UsageError(f"No images in the folder '{folder}'. {note}".rstrip())
    yield first
    yield from images


def _once(folder: Path, links: Links, places: set[str]) -> Iterator[str]:
    """Give each image file once, however many links point to it: where it lies, if that is read."""
    seen: set[str] = set()
    inner = replace(links, real={}, left_out={})  # of this folder: a pattern may match several
    whole = folder == Path(links.top)
    for entry in walk(folder, inner):
        if entry.reason == LEADS_OUT:
            path = entry.path.rstrip("/")
            links.left_out[path if whole else str(folder / path)] = None
        if entry.reason is not None:
            continue
        if real := inner.real.get(entry.path):
            home = next((str(each) for each in Path(real).parents if str(each) in places), None)
            if real in seen or (home is not None and read_elsewhere(real, home)):
                continue
            seen.add(real)
        yield entry.path


def _images_within(archive: str) -> Iterator[PathLike]:
    members = open_members(Path(archive))
    for name in sorted(members.names):
        if why_not_image(name) is None and not any(map(is_clutter, name.split("/"))):
            yield StoredImage(f"{archive}/{name}", partial(members.read, name))


def _images_listed(table: TablePaths) -> Iterator[PathLike]:
    for name, fault in table:
        yield StoredImage(name, partial(_refuse, fault)) if fault else name


def _refuse(fault: str) -> bytes:
    raise ImageError(fault)


def listed(images: ImageLike | Iterable[ImageLike]) -> Iterable[ImageLike]:
    """Make a list of one image, or of those that a table names."""
    if isinstance(images, str | os.PathLike) and os.fspath(images).lower().endswith(TABLES):
        return Inputs([os.fspath(images)])
    return [images] if isinstance(images, str | os.PathLike | Image.Image) else images


def name_of(image: ImageLike, number: int) -> str:
    """Name an image in messages, the first of them number 1."""
    if isinstance(image, Image.Image):
        return str(getattr(image, "filename", "")) or f"image {number}"
    return os.fspath(image)


def check_array(images: np.ndarray, contract: Contract) -> np.ndarray:
    """Check an array of images, and warn if its pixels seem to be scaled already.

    Args:
        images: RGB pixels from 0 to 255, (n, height, width, 3), or one image without the n.
        contract: the size that is expected.

    Returns:
        The images, (n, height, width, 3).

    Raises:
        UsageError: the array has another shape, or does not hold numbers.
    """
    height, width = contract.height, contract.width
    if images.shape == (height, width, 3):
        images = images[None]
    if images.ndim != 4 or images.shape[1:] != (height, width, 3):
        raise UsageError(
            f"`images` must have shape (n, {height}, {width}, 3). Received: shape "
            f"{images.shape}. Give paths or Pillow images to have them resized."
        )
    if not (np.issubdtype(images.dtype, np.integer) or np.issubdtype(images.dtype, np.floating)):
        raise UsageError(f"`images` must hold pixels 0 to 255. Received: dtype {images.dtype}.")
    top = 255.0 if images.dtype == np.uint8 or not images.size else float(images.max())
    if top >= 256:
        raise UsageError(
            f"`images` must hold pixels 0 to 255. Received: values up to {top:,.6g}. Scale them as "
            f"the training images were, or give paths or Pillow images."
        )
    if top <= 1:
        warnings.warn(
            "No pixel of `images` exceeds 1. headfit expects pixels from 0 to 255, not scaled to "
            "0 to 1: multiply them by 255.",
            UserWarning,
            stacklevel=4,
        )
    return images
