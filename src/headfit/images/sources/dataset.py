"""A data set of Hugging Face ``datasets``: from a local folder, or by its name on the hub."""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Self

import numpy as np

from headfit.errors import DataError, ImageError, UsageError
from headfit.images.decode import read_bytes
from headfit.images.sources.columns import Columns, choose_columns
from headfit.images.sources.finder import UnusableError
from headfit.images.sources.links import Links
from headfit.images.sources.rows import Facts, FactsReader
from headfit.images.sources.source import (
    TRAIN,
    Listing,
    Skipped,
    check_classes,
    links_followed,
    local_path,
    quote,
)
from headfit.images.sources.splits import split_roles
from headfit.images.sources.tree import SAVED
from headfit.util.tables import Table

PREFIX = "hf:"
ELSEWHERE = "a file outside of the data set; `follow_links=True` reads it"
Place = tuple[str, int]  # split and row


@dataclass(frozen=True)
class DatasetSource:
    """The images of a data set that the package ``datasets`` can load.

    Attributes:
        path: a folder of images or of ``save_to_disk``, absolute; or a name on the hub.
        columns: those that the user names.
        follow_links: whether image files may lie elsewhere than in the data set.
    """

    path: str
    columns: Columns = field(default_factory=Columns)
    follow_links: bool = False
    kind = "dataset"
    root = None

    @classmethod
    def of(cls, text: str, follow_links: bool = False, **columns: str | None) -> DatasetSource:
        """Read ``hf:NAME_OR_FOLDER``."""
        name = text.removeprefix(PREFIX)
        if not name:
            raise UsageError.invalid("images", text, "hf: and the name or folder of a data set")
        wanted = Columns(**{name.removesuffix("_column"): each for name, each in columns.items()})
        path = str(Path(name).absolute()) if Path(name).is_dir() else name
        return cls(path, wanted, follow_links)

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
        return {**columns, **links_followed(self.follow_links)}

    def listing(self) -> Listing:
        """List the images, sorted by class and then path.

        Raises:
            UsageError: ``datasets`` is not installed, or a column does not exist.
            DataError: the data set cannot be loaded, or it is not plain what its columns hold.
        """
        rows = self._rows
        images = sorted(rows.facts.items(), key=lambda image: (image[1].label, image[0]))
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
        """Return the kind, the path, the columns, and whether links are followed."""
        record = {"kind": self.kind, "path": self.path, "columns": self.columns.named()}
        return {**record, **links_followed(self.follow_links)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self | None:
        """Find a data set on this machine again; None if it is not there. Nothing is downloaded."""
        path = local_path(record.get("path"))
        columns = record.get("columns")
        if path is None or not path.is_absolute() or not path.is_dir():
            return None
        if not isinstance(columns, dict) or not set(columns) <= set(vars(Columns())):
            return None
        return cls(str(path), Columns(**columns), record.get("follow_links") is True)

    @cached_property
    def _rows(self) -> _Rows:
        return _Rows(self.path, self.columns, self.follow_links)


class _Rows:
    """The rows of all splits.

    Attributes:
        facts: image → what its row says.
        skipped: rows that cannot be used.
        notes: what a run should say.
        has_weights: whether there is a column of weights.
    """

    def __init__(self, path: str, wanted: Columns, follow_links: bool) -> None:
        self.facts: dict[str, Facts] = {}
        self.skipped: list[Skipped] = []
        self.notes: list[str] = []
        self.has_weights = False
        self._places: dict[str, Place] = {}
        self._images: dict[str, Any] = {}  # split → its column of images, as bytes and paths
        self._lock = threading.Lock()
        parts = _load(path)
        self._file_places = [Links(each, follow_links) for each in _folders(path)]
        roles = split_roles(parts)
        for name, part in parts.items():
            split = TRAIN if len(parts) == 1 else roles.get(name)
            if split is None:
                self.notes.append(
                    f"Left out of {quote(path)}: {quote(name)} ({len(part):,} rows), which is no "
                    "split."
                )
                continue
            self._add(path, name, part, split, wanted, f"{name}/" if len(parts) > 1 else "")

    def read(self, name: str) -> bytes:
        """Return the content of an image's file."""
        if name not in self._places:
            raise ImageError("not in the data set")
        split, row = self._places[name]
        with self._lock:
            (image,) = self._images[split][row].values()
        if image["bytes"] is None:
            if not any(each.holds(image["path"]) for each in self._file_places):
                raise ImageError(ELSEWHERE)
            return read_bytes(image["path"])
        data: bytes = image["bytes"]
        return data

    def _add(
        self, path: str, name: str, part: Any, split: str, wanted: Columns, prefix: str
    ) -> None:
        import datasets  # noqa: PLC0415  (an extra)

        images = [k for k, each in part.features.items() if isinstance(each, datasets.Image)]
        if wanted.path is None and len(images) == 1:
            wanted = Columns(**{**wanted.named(), "path": images[0]})
        table = Table(
            path,
            tuple(part.column_names),
            0,
            "",
            lambda names: zip(*_cells(part, names), strict=True),
        )
        columns = choose_columns(table, Columns(**{**wanted.named(), "split": ""}))
        self.notes += [each for each in columns.notes(wanted, path) if each not in self.notes]
        column = str(columns.path)
        if column not in images:
            raise UsageError.invalid(
                "path_column", column, f"a column of images in {quote(path)}: {', '.join(images)}"
            )
        self._images[name] = part.select_columns([column]).cast_column(
            column, datasets.Image(decode=False)
        )
        flat = self._images[name].flatten().select_columns([f"{column}.path"])
        files = list(flat[f"{column}.path"])
        cells = [
            _cells(part, [each])[0] if each else [None] * len(files)
            for each in (columns.label, columns.group, columns.weight)
        ]
        self.has_weights = columns.weight is not None
        reader = FactsReader(has_splits=False, has_weights=self.has_weights)
        for row, (file, label, group, weight) in enumerate(zip(files, *cells, strict=True)):
            try:
                facts = reader.facts(label, None, group, weight)._replace(split=split)
            except UnusableError as fault:
                self.skipped.append(Skipped(f"{prefix}{row}", str(fault.args[0])))
                continue
            image = self._name(path, file, f"{prefix}{facts.label}", row)
            self.facts[image], self._places[image] = facts, (name, row)

    def _name(self, path: str, file: str | None, folder: str, row: int) -> str:
        """Name an image like its file in class folders; with its row where that is not unique."""
        if file and Path(file).is_absolute() and Path(file).is_relative_to(path):
            return Path(file).relative_to(path).as_posix()
        base = PurePosixPath(file or "image").name
        name = f"{folder}/{base}"
        return f"{folder}/{row:07}-{base}" if file is None or name in self.facts else name


def _cells(part: Any, names: Any) -> list[list[Any]]:
    """Read columns; the numbers of classes become their names, and -1 none."""
    columns = []
    for name in names:
        feature = part.features[name]
        codes = list(part.select_columns([name])[name])
        if hasattr(feature, "int2str"):
            words = dict(enumerate(feature.names))
            codes = [words.get(each) for each in codes]
        columns.append(codes)
    return columns


def _folders(path: str) -> list[str]:
    """Name the folders that files of a data set may lie in: its own, or where it was downloaded."""
    if Path(path).is_dir():
        return [path]
    import datasets  # noqa: PLC0415  (an extra)
    import huggingface_hub  # noqa: PLC0415

    config = datasets.config
    caches = (config.HF_DATASETS_CACHE, config.DOWNLOADED_DATASETS_PATH)
    return [*map(str, caches), huggingface_hub.constants.HF_HUB_CACHE]


def _load(path: str) -> dict[str, Any]:
    """Load the splits of a data set by their names."""
    try:
        import datasets  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise UsageError(
            f"{PREFIX}{path} needs the package datasets, which is not installed. Run: pip install "
            "'headfit[datasets]'."
        ) from error
    folder = Path(path)
    datasets.disable_progress_bars()
    try:
        if any((folder / name).is_file() for name in SAVED):
            loaded = datasets.load_from_disk(path)
        elif folder.is_dir():
            loaded = datasets.load_dataset("imagefolder", data_dir=path)
        else:
            loaded = datasets.load_dataset(path)
    except Exception as error:  # of any package below datasets
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError(f"The data set {quote(path)} cannot be loaded: {reason}") from error
    return dict(loaded) if isinstance(loaded, dict) else {TRAIN: loaded}
