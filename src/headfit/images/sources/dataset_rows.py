"""The rows of a data set of Hugging Face ``datasets``, in all its splits."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from headfit.errors import DataError, ImageError, UsageError
from headfit.images.decode import read_bytes
from headfit.images.sources.cells import count_cells
from headfit.images.sources.columns import Columns, choose_columns
from headfit.images.sources.finder import UnusableError
from headfit.images.sources.labelling import Place, decide
from headfit.images.sources.links import Links
from headfit.images.sources.rows import Facts, FactsReader
from headfit.images.sources.source import TRAIN, Skipped, quote
from headfit.images.sources.splits import split_roles
from headfit.images.sources.tree import SAVED
from headfit.util.tables import Table

PREFIX = "hf:"
ELSEWHERE = "a file outside of the data set; `follow_links=True` reads it"


@dataclass(frozen=True)
class DatasetRequest:
    """What is read of which data set, and how.

    Attributes:
        path: a folder, absolute; or a name on the hub.
        columns: those that the user names.
        follow_links: whether image files may lie elsewhere than in the data set.
        target: what the user says that label columns mean; None lets their cells decide.
        separator: what stands between the labels in a cell.
    """

    path: str
    columns: Columns
    follow_links: bool
    target: str | None
    separator: str


class _Part(NamedTuple):
    """A split: its name, what it is used as, the files of its images, and the columns that count.

    ``labels`` holds the label cells of each row; ``group`` and ``weight`` a cell of each row.
    """

    name: str
    split: str
    prefix: str
    files: list[str | None]
    labels: list[tuple[Any, ...]]
    group: list[Any]
    weight: list[Any]


class DatasetRows:
    """The rows of all splits.

    Attributes:
        facts: image → what its row says.
        skipped: rows that cannot be used.
        notes: what a run should say.
        has_weights: whether there is a column of weights.
        labelling: what the label columns mean.
    """

    def __init__(self, request: DatasetRequest) -> None:
        self.facts: dict[str, Facts] = {}
        self.skipped: list[Skipped] = []
        self.notes: list[str] = []
        self.has_weights = False
        self._places: dict[str, tuple[str, int]] = {}  # image → its split and row
        self._images: dict[str, Any] = {}  # split → its column of images, as bytes and paths
        self._lock = threading.Lock()
        path, self._columns = request.path, Columns()
        loaded = _load(path)
        self._file_places = [Links(each, request.follow_links) for each in _folders(path)]
        roles = split_roles(loaded)
        parts = []
        for name, part in loaded.items():
            split = TRAIN if len(loaded) == 1 else roles.get(name)
            if split is None:
                self.notes.append(
                    f"Left out of {quote(path)}: {quote(name)} ({len(part):,} rows), which is no "
                    "split."
                )
                continue
            prefix = f"{name}/" if len(loaded) > 1 else ""
            parts.append(self._part(path, name, part, split, request.columns, prefix))
        cells = (
            (f"{part.prefix}{row}", label)
            for part in parts
            for row, label in enumerate(part.labels)
        )
        counted = count_cells(self._columns.labels, cells)
        self.labelling = decide(counted, Place(quote(path)), request.target, request.separator)
        self.notes += self.labelling.notes
        reader = FactsReader(self.labelling, has_splits=False, has_weights=self.has_weights)
        for part in parts:
            self._add(path, part, reader)

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

    def _part(
        self, path: str, name: str, part: Any, split: str, wanted: Columns, prefix: str
    ) -> _Part:
        """Read the columns of a split that count."""
        import datasets  # noqa: PLC0415  (an extra)

        part = part.with_format(None)  # a cast leaves names of columns that flatten changes
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
        self._columns = columns
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
        group, weight = (
            _cells(part, [each])[0] if each else [None] * len(files)
            for each in (columns.group, columns.weight)
        )
        self.has_weights = columns.weight is not None
        labels = list(zip(*_cells(part, columns.labels), strict=True))
        return _Part(name, split, prefix, files, labels, group, weight)

    def _add(self, path: str, part: _Part, reader: FactsReader) -> None:
        """Add the images of a split."""
        columns = zip(part.files, part.labels, part.group, part.weight, strict=True)
        for row, (file, label, group, weight) in enumerate(columns):
            try:
                facts = reader.facts(label, None, group, weight)._replace(split=part.split)
            except UnusableError as fault:
                self.skipped.append(Skipped(f"{part.prefix}{row}", str(fault.args[0])))
                continue
            folder = facts.label if isinstance(facts.label, str) else "images"
            image = self._name(path, file, f"{part.prefix}{folder}", row)
            self.facts[image], self._places[image] = facts, (part.name, row)

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
            by_code = dict(enumerate(feature.names))
            codes = [by_code.get(each) for each in codes]
        elif words := getattr(getattr(feature, "feature", None), "names", []):  # a list of classes
            codes = [None if each is None else [words[code] for code in each] for each in codes]
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
