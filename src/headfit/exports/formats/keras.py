"""Plain ``.keras``: Keras' own layers and operations only, so that it opens without headfit."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import weakref
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from headfit.errors import EngineError, ModelFileError
from headfit.exports.formats.format import FLOAT32, Predict, Subject
from headfit.exports.network import NetworkRequest
from headfit.exports.record import ExportRecord
from headfit.model.metadata import EXPORT, ModelRecord
from headfit.util import child, files
from headfit.util.model_parts import RECORD, check_archive, parse

# run where nothing of headfit is imported, so that the file needs none of it
PROGRAM = """
import sys
import numpy as np
import keras
model = keras.saving.load_model(sys.argv[1], compile=False, safe_mode=True)
assert not any(name.partition(".")[0] == "headfit" for name in sys.modules)
for line in sys.stdin:
    images = np.load(line.strip())
    parts = [images[start : start + 32] for start in range(0, len(images), 32)]
    np.save(sys.argv[2], np.concatenate([np.asarray(model.predict_on_batch(p)) for p in parts]))
    print("ready", flush=True)
"""
READY = "ready"


@dataclass(frozen=True)
class PlainKerasRequest(NetworkRequest):
    """Write a classifier with Keras' own layers only."""

    function = "headfit.exports.formats.keras_child:write_plain"


class PlainKeras:
    """See :class:`~headfit.exports.formats.format.Format`.

    The record is the entry ``export`` of the member ``headfit.json``, which ``headfit predict``
    reads as well.
    """

    name = "keras"
    file = "model.keras"
    precisions = (FLOAT32,)
    outlier_score = False

    def check(self, precision: str = FLOAT32) -> None:
        """Nothing is missing: Keras comes with headfit."""

    def write(self, subject: Subject, path: Path) -> None:
        """Write the file."""
        record = subject.record.to_json()
        request = PlainKerasRequest(str(subject.path), record, False, subject.fuse, str(path))
        child.call(request, backend=child.FAST_BACKEND, fallback=child.default_backend())
        ModelRecord.read(subject.path).append_to(path, {EXPORT: subject.record.to_dict()})

    def open(self, path: Path, threads: int | None = None) -> Predict:
        """Run it in a process of its own, in which nothing of headfit is."""
        return _Apart(path, threads).predict

    def read_record(self, path: Path) -> ExportRecord:
        """Read the record from ``headfit.json``."""
        with zipfile.ZipFile(path) as archive:
            check_archive(archive, path)
            data = parse(archive.read(RECORD), RECORD, path) if RECORD in archive.namelist() else {}
        if EXPORT not in data:
            raise ModelFileError(f"'{path}' was not exported by headfit: {RECORD} has no record.")
        return ExportRecord.from_dict(data[EXPORT])


class _Apart:
    """A process that runs a model; it ends with this object."""

    def __init__(self, path: Path, threads: int | None) -> None:
        self._path = path
        self._folder = tempfile.TemporaryDirectory(prefix=files.scratch_prefix())
        settings = {"KERAS_BACKEND": child.default_backend(), "TF_CPP_MIN_LOG_LEVEL": "3"}
        if threads == 1:
            settings["XLA_FLAGS"] = child.ONE_THREAD
        self._pixels, self._result = (Path(self._folder.name) / f"{n}.npy" for n in ("in", "out"))
        self._errors = (Path(self._folder.name) / "errors.txt").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", PROGRAM, str(path.absolute()), str(self._result)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | settings,
            encoding="utf-8",
        )
        self._end = weakref.finalize(self, _end, self._process, self._errors, self._folder)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Run images; see :data:`Predict`."""
        np.save(self._pixels, images)
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        with contextlib.suppress(BrokenPipeError):
            stdin.write(f"{self._pixels}\n")
            stdin.flush()
        for line in stdout:
            if line.strip() == READY:
                rows: np.ndarray = np.load(self._result, allow_pickle=False)
                return rows
        self._process.wait()
        self._errors.seek(0)
        last = (self._errors.read().strip().splitlines() or ["no message"])[-1]
        raise EngineError(f"Keras without headfit cannot run '{self._path}': {last}")


def _end(
    process: subprocess.Popen[str], errors: TextIO, folder: tempfile.TemporaryDirectory[str]
) -> None:
    process.kill()
    process.communicate()
    errors.close()
    folder.cleanup()
