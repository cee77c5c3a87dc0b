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
from headfit.model.prediction import Prediction
from headfit.util import files
from headfit.util.csv_cells import csv_text

SEPARATOR = ";"  # between the classes of a set, in CSV
MOST_ROWS, GROUP_VALUES = 1 << 16, 1 << 22  # of a row group of Parquet, which is held in memory


class Format(Protocol):
    """Writes predictions as bytes."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""

    def start(self) -> bytes:
        """Give what stands before all rows."""

    def rows(self, predictions: Sequence[Prediction]) -> bytes:
        """Give some rows."""

    def finish(self, partial: Path, out: Path) -> None:
        """Make the finished file of the partial one, which goes; can be repeated if it stops."""


@dataclass(frozen=True)
class Csv:
    """A row for each image: path, predicted class, a probability for each class, and the rest.

    Attributes:
        classes: their names.
    """

    classes: tuple[str, ...]

    def start(self) -> bytes:
        """Give the names of the columns."""
        probabilities = (f"p_{name}" for name in self.classes)
        rest = ["calibrated", "set", "outlier", "error"]
        return _lines([["path", "predicted", *probabilities, *rest]])

    def rows(self, predictions: Sequence[Prediction]) -> bytes:
        """Give a line for each."""
        return _lines(self._row(prediction) for prediction in predictions)

    def finish(self, partial: Path, out: Path) -> None:
        """Rename the file."""
        partial.replace(out)

    def _row(self, prediction: Prediction) -> list[str]:
        p, calibrated, outlier = (
            prediction.probabilities,
            prediction.calibrated,
            prediction.outlier,
        )
        if p is None:
            return [prediction.path, *[""] * (len(self.classes) + 4), prediction.error]
        return [
            prediction.path,
            self.classes[int(p.argmax())],
            *(f"{value:.6f}" for value in p),
            "" if calibrated is None else f"{calibrated:.6f}",
            SEPARATOR.join(prediction.prediction_set or ()),
            "" if outlier is None else str(outlier).lower(),
            "",
        ]


@dataclass(frozen=True)
class JsonLines:
    """An object for each image, as the command predict prints them in JSON.

    Attributes:
        classes: their names.
        top: number of classes in an object.
    """

    classes: tuple[str, ...]
    top: int

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
        p = prediction.probabilities
        order = [] if p is None else np.argsort(-p, kind="stable")[: self.top].tolist()
        best = [
            {"class": self.classes[i], "probability": float(p[i])} for i in order if p is not None
        ]
        return {
            "path": prediction.path,
            "class": best[0]["class"] if best else None,
            "probability": best[0]["probability"] if best else None,
            "top": best,
            "calibrated": prediction.calibrated,
            "set": None if prediction.prediction_set is None else list(prediction.prediction_set),
            "outlier": prediction.outlier,
            "error": prediction.error or None,
        }


@dataclass(frozen=True)
class Parquet:
    """The columns of :class:`Csv` with their types; the partial file is an Arrow stream.

    Attributes:
        classes: their names.
    """

    classes: tuple[str, ...]

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
        missing = np.zeros(len(self.classes))
        rows = [each.probabilities for each in predictions]
        unknown = np.array([p is None for p in rows])
        classes = list(map(_text, self.classes))
        best = [None if p is None else classes[int(p.argmax())] for p in rows]
        p = np.array([missing if p is None else p for p in rows], np.float32)
        columns = [
            [_text(each.path) for each in predictions],
            best,
            *(pa.array(column, mask=unknown) for column in p.T),
            [each.calibrated for each in predictions],
            [
                None if each.prediction_set is None else list(map(_text, each.prediction_set))
                for each in predictions
            ],
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

        return pa.schema(
            [
                ("path", pa.string()),
                ("predicted", pa.string()),
                *((f"p_{_text(name)}", pa.float32()) for name in self.classes),
                ("calibrated", pa.float64()),
                ("set", pa.list_(pa.string())),
                ("outlier", pa.bool_()),
                ("error", pa.string()),
            ]
        )


def format_of(out: Path, classes: tuple[str, ...], top: int) -> Format:
    """Choose the format by the suffix of the file.

    Raises:
        UsageError: if it has another suffix, or a package is missing.
    """
    suffix = out.suffix.lower()
    if suffix == ".csv":
        return Csv(classes)
    if suffix == ".jsonl":
        return JsonLines(classes, top)
    if suffix == ".parquet":
        return Parquet(classes)
    raise UsageError.invalid("out", str(out), "a file name that ends in .csv, .jsonl or .parquet")


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
