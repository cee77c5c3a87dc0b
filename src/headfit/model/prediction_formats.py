"""Predictions as rows: of a CSV file, of JSON Lines, of Parquet.

Rows are appended to a partial file as they come, in blocks that a later run may continue. What is
in the finished file does not depend on where blocks end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from headfit.errors import DataError, UsageError
from headfit.images.targets import CLASS, SEPARATOR
from headfit.model.prediction import Prediction
from headfit.model.prediction_layout import FLOAT32, FLOAT64, LAYOUTS, TEXT, TEXTS, Column, Layout
from headfit.util import files
from headfit.util.csv_cells import csv_text

MOST_ROWS, GROUP_VALUES = 1 << 16, 1 << 22  # of a row group of Parquet, which is held in memory


class Format(Protocol):
    """Writes predictions as bytes."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, labels or numbers."""

    @property
    def kind(self) -> str:
        """Kind of the targets."""

    def start(self) -> bytes:
        """Give what stands before all rows."""

    def rows(self, predictions: Sequence[Prediction]) -> bytes:
        """Give some rows."""

    def finish(self, partial: Path, out: Path) -> None:
        """Make the finished file of the partial one, which goes; can be repeated if it stops."""


@dataclass(frozen=True)
class Csv:
    """A row for each image: its path, what is predicted, and the rest.

    Attributes:
        classes: names of the classes, labels or numbers.
        kind: of the targets.
    """

    classes: tuple[str, ...]
    kind: str = CLASS

    def start(self) -> bytes:
        """Give the names of the columns."""
        layout = LAYOUTS[self.kind]
        before, after = ([column.name for column in some] for some in (layout.before, layout.after))
        return _lines([["path", *before, *layout.titles(self.classes), *after, "outlier", "error"]])

    def rows(self, predictions: Sequence[Prediction]) -> bytes:
        """Give a line for each."""
        return _lines(self._row(prediction, LAYOUTS[self.kind]) for prediction in predictions)

    def finish(self, partial: Path, out: Path) -> None:
        """Rename the file."""
        partial.replace(out)

    def _row(self, prediction: Prediction, layout: Layout) -> list[str]:
        if prediction.error:
            columns = len(layout.before) + len(layout.titles(self.classes)) + len(layout.after)
            return [prediction.path, *[""] * (columns + 1), prediction.error]
        before, after = (
            [_cell(column.read(prediction, self.classes)) for column in some]
            for some in (layout.before, layout.after)
        )
        numbers = [
            "" if np.isnan(x) else format(x, layout.digits) for x in layout.numbers(prediction)
        ]
        outlier = "" if prediction.outlier is None else str(prediction.outlier).lower()
        return [prediction.path, *before, *numbers, *after, outlier, ""]


@dataclass(frozen=True)
class JsonLines:
    """An object for each image, as the command predict prints them in JSON.

    Attributes:
        classes: names of the classes, labels or numbers.
        top: number of classes or labels in an object.
        kind: of the targets.
    """

    classes: tuple[str, ...]
    top: int
    kind: str = CLASS

    def start(self) -> bytes:
        """Give nothing."""
        return b""

    def rows(self, predictions: Sequence[Prediction]) -> bytes:
        """Give a line for each."""
        records = (self.record(prediction) for prediction in predictions)
        return "".join(f"{json.dumps(record, allow_nan=False)}\n" for record in records).encode()

    def finish(self, partial: Path, out: Path) -> None:
        """Rename the file."""
        partial.replace(out)

    def record(self, prediction: Prediction) -> dict[str, Any]:
        """Give one prediction as data for JSON."""
        return {
            "path": prediction.path,
            **LAYOUTS[self.kind].record(prediction, self.classes, self.top),
            "outlier": prediction.outlier,
            "error": prediction.error or None,
        }


@dataclass(frozen=True)
class Parquet:
    """The columns of :class:`Csv` with their types; the partial file is an Arrow stream.

    Attributes:
        classes: names of the classes, labels or numbers.
        kind: of the targets.
    """

    classes: tuple[str, ...]
    kind: str = CLASS

    def __post_init__(self) -> None:
        try:
            import pyarrow.parquet  # noqa: F401, PLC0415  (an extra)
        except ImportError:
            raise UsageError(
                "Parquet needs pyarrow, which is not installed. Run: pip install "
                "'headfit[parquet]', or write a .csv or .jsonl file."
            ) from None

    def start(self) -> bytes:
        """Give the schema."""
        return bytes(self._schema.serialize())

    def rows(self, predictions: Sequence[Prediction]) -> bytes:
        """Give one batch."""
        import pyarrow as pa  # noqa: PLC0415

        if not predictions:
            return b""
        layout, titles = LAYOUTS[self.kind], LAYOUTS[self.kind].titles(self.classes)
        missing = np.full(len(titles), np.nan)
        rows = [missing if each.error else layout.numbers(each) for each in predictions]
        numbers = np.array(rows, layout.type)
        columns = [
            [_text(each.path) for each in predictions],
            *(self._cells(column, predictions) for column in layout.before),
            *(pa.array(column, mask=np.isnan(column)) for column in numbers.T),
            *(self._cells(column, predictions) for column in layout.after),
            [each.outlier for each in predictions],
            [_text(each.error) or None for each in predictions],
        ]
        arrays = [
            pa.array(column, field.type) if isinstance(column, list) else column
            for column, field in zip(columns, self._schema, strict=True)
        ]
        return bytes(pa.record_batch(arrays, schema=self._schema).serialize())

    def finish(self, partial: Path, out: Path) -> None:
        """Write row groups of a fixed size, whatever the batches were."""
        import pyarrow.parquet as pq  # noqa: PLC0415

        def write(path: Path) -> None:
            with pq.ParquetWriter(path, self._schema) as writer:
                for table in self._tables(partial):
                    writer.write_table(table, row_group_size=self._group_rows)

        files.write_file(out, write, durable=True)
        partial.unlink()

    def _cells(self, column: Column, predictions: Sequence[Prediction]) -> list[Any]:
        cells = (None if p.error else column.read(p, self.classes) for p in predictions)
        if column.type == TEXTS:
            return [None if cell is None else list(map(_text, cell)) for cell in cells]
        return [_text(cell) if isinstance(cell, str) else cell for cell in cells]

    def _tables(self, partial: Path) -> Iterator[Any]:
        """Read the rows that are safe on disk."""
        import pyarrow as pa  # noqa: PLC0415

        try:
            with pa.ipc.open_stream(pa.OSFile(str(partial))) as batches:
                for group in _groups(batches, self._group_rows):
                    yield pa.Table.from_batches(group, self._schema).combine_chunks()
        except (pa.ArrowException, OSError) as error:
            reason = str(error).partition("\n")[0]
            raise DataError(
                f"'{partial}' is damaged ({reason}). Begin again with `overwrite=True`."
            ) from error

    @property
    def _group_rows(self) -> int:
        return max(1, min(MOST_ROWS, GROUP_VALUES // len(self.classes)))

    @cached_property
    def _schema(self) -> Any:
        import pyarrow as pa  # noqa: PLC0415

        types = {
            TEXT: pa.string(),
            TEXTS: pa.list_(pa.string()),
            FLOAT32: pa.float32(),
            FLOAT64: pa.float64(),
        }
        layout = LAYOUTS[self.kind]
        before, after = (
            [(column.name, types[column.type]) for column in some]
            for some in (layout.before, layout.after)
        )
        numbers = [(_text(title), types[layout.type]) for title in layout.titles(self.classes)]
        rest = [("outlier", pa.bool_()), ("error", pa.string())]
        return pa.schema([("path", pa.string()), *before, *numbers, *after, *rest])


def format_of(out: Path, classes: tuple[str, ...], top: int, kind: str = CLASS) -> Format:
    """Choose the format by the suffix of the file.

    Raises:
        UsageError: if it has another suffix, or a package is missing.
    """
    suffix = out.suffix.lower()
    if suffix == ".csv":
        return Csv(classes, kind)
    if suffix == ".jsonl":
        return JsonLines(classes, top, kind)
    if suffix == ".parquet":
        return Parquet(classes, kind)
    raise UsageError.invalid("out", str(out), "a file name that ends in .csv, .jsonl or .parquet")


def _cell(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:.6f}"
    return cell if isinstance(cell, str) else SEPARATOR.join(cell)


def _lines(rows: Iterable[Sequence[str]]) -> bytes:
    return csv_text(rows).encode("utf-8", "backslashreplace")


def _groups(batches: Iterable[Any], rows: int) -> Iterator[list[Any]]:
    """Split and gather Arrow batches to groups of so many rows, but for the last."""
    group: list[Any] = []
    room = rows
    for each in batches:
        each.validate(full=True)  # a damaged one would lead out of its memory
        batch = each
        while batch.num_rows >= room:
            yield [*group, batch.slice(0, room)]
            batch, group, room = batch.slice(room), [], rows
        if batch.num_rows:
            group.append(batch)
            room -= batch.num_rows
    if group:
        yield group


def _text(name: str) -> str:
    """Escape odd bytes of the name of a file or a class, which UTF-8 cannot hold."""
    return name.encode("utf-8", "backslashreplace").decode()
