"""Predictions written to a file as they come; a run that was killed goes on where it stopped.

Beside ``predictions.csv`` lies ``predictions.csv.json``, which says of what model and images it is,
and how much of ``predictions.csv.partial`` is safe on disk. Every second rows are appended and
synchronised, and only then is that length raised: whenever the process dies, the next one cuts the
partial file there and goes on. So no row is lost or doubled.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from operator import length_hint
from pathlib import Path
from typing import Any, BinaryIO

import xxhash

from headfit.errors import DataError, UsageError
from headfit.images.inputs import name_of
from headfit.images.read_ahead import ImageLike
from headfit.model.prediction import Prediction
from headfit.model.prediction_formats import Format
from headfit.model.prediction_layout import LAYOUTS
from headfit.progress import IMAGES, Callback
from headfit.util import digests, files, records

SCHEMA = "headfit.predictions_file/1"
SECONDS = 1.0  # of work that a kill may cost
MOST_ROWS = 4096  # that wait in memory
REMEDY = "Choose another name, or replace it with `overwrite=True`."
Predict = Callable[[Iterable[ImageLike]], Iterator[Prediction]]


@dataclass(frozen=True)
class Written:
    """What a file of predictions holds.

    Attributes:
        path: the file.
        images: number of its rows.
        unreadable: those of images that could not be read.
        resumed: those that an earlier run had written.
        classes: number of images that each class or label was predicted for; empty for numbers.
    """

    path: Path
    images: int
    unreadable: int
    resumed: int
    classes: dict[str, int]


@dataclass(frozen=True)
class _Safe:
    """What is safe on disk.

    Attributes:
        images: number of rows.
        bytes: length of the partial file.
        names: digest of the names of these images.
        unreadable: number of those that could not be read.
        classes: number of images that each class was predicted for.
        complete: whether these are all images.
    """

    images: int
    bytes: int
    names: str
    unreadable: int
    classes: dict[str, int]
    complete: bool


@dataclass(frozen=True)
class _Block:
    """What is safe, and the rows after it that are not yet."""

    safe: _Safe
    digest: xxhash.xxh3_128 = field(default_factory=xxhash.xxh3_128)
    rows: list[Prediction] = field(default_factory=list)


_SHAPE = {
    "schema": str,
    "images": int,
    "bytes": int,
    "names": str,
    "unreadable": int,
    "classes": dict,
    "complete": bool,
}
NOTHING = _Safe(0, 0, xxhash.xxh3_128().hexdigest(), 0, {}, False)


class PredictionFile:
    """A file of predictions that is begun, or continued.

    Args:
        out: the file.
        model: the model file that predicts.
        form: how rows are written.
    """

    def __init__(self, out: Path, model: Path, form: Format) -> None:
        self._out, self._form = out, form
        self._partial = out.with_name(f"{out.name}.partial")
        self._journal = out.with_name(f"{out.name}.json")
        of_model = ("classes", "kind")  # which the digest covers
        settings = {key: value for key, value in vars(form).items() if key not in of_model}
        self._facts = {"schema": SCHEMA, "model_digest": digests.of_file(model), **settings}
        self._model = str(model)
        self._block = _Block(NOTHING)

    def write(
        self, images: Iterable[ImageLike], predict: Predict, callback: Callback, overwrite: bool
    ) -> Written:
        """Write the predictions of all images that have no row yet.

        Args:
            images: paths, in the same order as in the run that is continued.
            predict: gives predictions in order; is given the images that remain.
            callback: is told the progress, in images.
            overwrite: whether to begin again, whatever is there.

        Raises:
            UsageError: if the file is of other images, of another model or of unknown origin, or
                another process is writing it.
            WriteError: if it cannot be written; what is safe stays.
        """
        with files.writing(self._out):
            self._out.parent.mkdir(parents=True, exist_ok=True)
            with self._locked() as stream:
                safe = NOTHING if overwrite else self._found()
                self._block = _Block(safe)
                remaining = self._skip(images)
                if safe.complete:
                    callback.on_message("All images have rows already.")
                else:
                    count = max(0, length_hint(images) - safe.images)
                    self._append(stream, predict(remaining), count, callback)
            written = self._block.safe
            if self._partial.stat().st_size == written.bytes:
                self._form.finish(self._partial, self._out)
            else:  # nothing was left to do, and locking made an empty one
                self._partial.unlink()
        return Written(self._out, written.images, written.unreadable, safe.images, written.classes)

    def _found(self) -> _Safe:
        """Read how far an earlier run came, if it was of the same model and settings."""
        record = _read(self._journal)
        if record is None:
            for path in (self._out, self._journal):
                if path.exists():
                    raise UsageError(
                        f"`out` is '{path}', which exists, and whose model and images are not "
                        f"known. {REMEDY}"
                    )
            return NOTHING
        different = [key for key in self._facts if record.get(key) != self._facts[key]]
        if different:
            what = f"another model, '{record.get('model')}'"
            if "model_digest" not in different:
                what = " and ".join(f"{key}={record.get(key)}" for key in different)
            raise UsageError(f"`out` is '{self._out}', which is of {what}. {REMEDY}")
        safe = _Safe(**{key: record[key] for key in asdict(NOTHING)})
        size = self._partial.stat().st_size
        if safe.complete:
            return safe if size == safe.bytes or self._out.exists() else NOTHING
        return safe if size >= safe.bytes else NOTHING

    def _skip(self, images: Iterable[ImageLike]) -> Iterator[ImageLike]:
        """Give the images that have no row, and check that the others are those of the rows."""
        remaining, safe = iter(images), self._block.safe
        for number, image in enumerate(islice(remaining, safe.images), 1):
            self._block.digest.update(_bytes(name_of(image, number)))
        others = self._block.digest.hexdigest() != safe.names
        if others or (safe.complete and next(remaining, None) is not None):
            raise UsageError(
                f"`out` is '{self._out}', which has {safe.images:,} rows of other images, or of "
                f"these in another order. {REMEDY}"
            )
        return remaining

    def _append(
        self, stream: BinaryIO, predictions: Iterator[Prediction], count: int, callback: Callback
    ) -> None:
        before = self._block.safe.images
        if before:
            callback.on_message(f"{before:,} rows are there already; continuing after them.")
        callback.on_stage_begin("Predicting", count, IMAGES)
        complete, saved = False, time.monotonic()
        self._save(stream)
        unreadable = 0
        try:
            for number, prediction in enumerate(predictions, 1):
                self._block.rows.append(prediction)
                unreadable += bool(prediction.error)
                callback.on_progress(number, skipped=unreadable)
                if len(self._block.rows) >= MOST_ROWS or time.monotonic() - saved > SECONDS:
                    self._save(stream)
                    saved = time.monotonic()
            complete = True
        finally:
            self._save(stream, complete)
            if not complete:
                rows = f"{self._block.safe.images:,} rows are kept in '{self._partial}'."
                callback.on_message(f"{rows} Without `overwrite`, the next run continues there.")

    def _save(self, stream: BinaryIO, complete: bool = False) -> None:
        """Make the rows safe; done again from the start if it was interrupted."""
        safe, rows = self._block.safe, self._block.rows
        data = (b"" if safe.bytes else self._form.start()) + self._form.rows(rows)
        stream.seek(safe.bytes)
        stream.truncate()
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
        digest, classes = self._block.digest.copy(), Counter(safe.classes)
        for each in rows:
            digest.update(_bytes(each.path))
            if not each.error:
                classes.update(LAYOUTS[self._form.kind].mentioned(each, self._form.classes))
        now = _Safe(
            images=safe.images + len(rows),
            bytes=safe.bytes + len(data),
            names=digest.hexdigest(),
            unreadable=safe.unreadable + sum(bool(each.error) for each in rows),
            classes=dict(classes),
            complete=complete,
        )
        record = {**self._facts, "model": self._model, **asdict(now)}
        files.write_json(self._journal, record, durable=True)
        self._block = _Block(now, digest)  # at once, whenever Ctrl-C comes

    @contextlib.contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        """Open the partial file, which no other process may write meanwhile."""
        # in a folder of a stranger's, a link of that name may lead to any file of the user's
        flags = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        handle = os.open(self._partial, os.O_RDWR | os.O_CREAT | flags, 0o666)
        with os.fdopen(handle, "r+b") as stream:
            try:
                import fcntl  # noqa: PLC0415  (not on Windows)

                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(f"Another process is writing `out` '{self._out}'.") from None
            except (ImportError, OSError):  # a file system without locks
                pass
            yield stream


def _read(path: Path) -> dict[str, Any] | None:
    """Read a journal; None if headfit did not write it."""
    try:
        record = records.read_json(path)
    except (OSError, DataError):
        return None
    if records.lacking(record, _SHAPE) or record["schema"] != SCHEMA:
        return None
    counts = (record["images"], record["bytes"], record["unreadable"], *record["classes"].values())
    whole = all(isinstance(each, int) and 0 <= each <= sys.maxsize for each in counts)
    return dict(record) if whole else None


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass") + b"\0"
