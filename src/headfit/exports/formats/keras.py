"""Plain ``.keras``: Keras' own layers and operations only, so that it opens without headfit."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

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
images = np.load(sys.argv[2])
parts = [images[start : start + 32] for start in range(0, len(images), 32)]
np.save(sys.argv[3], np.concatenate([np.asarray(model.predict_on_batch(p)) for p in parts]))
assert not any(name.partition(".")[0] == "headfit" for name in sys.modules)
"""


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

    def check(self) -> None:
        """Nothing is missing: Keras comes with headfit."""

    def write(self, subject: Subject, path: Path) -> None:
        """Write the file."""
        record = subject.record.to_json()
        request = PlainKerasRequest(str(subject.path), record, False, subject.fuse, str(path))
        child.call(request, backend=child.FAST_BACKEND, fallback=child.default_backend())
        ModelRecord.read(subject.path).append_to(path, {EXPORT: subject.record.to_dict()})

    def open(self, path: Path, threads: int | None = None) -> Predict:
        """Run it in a process of its own, in which nothing of headfit is."""

        def predict(images: np.ndarray) -> np.ndarray:
            with tempfile.TemporaryDirectory(prefix=files.scratch_prefix()) as folder:
                pixels, result = Path(folder) / "pixels.npy", Path(folder) / "result.npy"
                np.save(pixels, images)
                _run(path, pixels, result, threads)
                rows: np.ndarray = np.load(result, allow_pickle=False)
                return rows

        return predict

    def read_record(self, path: Path) -> ExportRecord:
        """Read the record from ``headfit.json``."""
        with zipfile.ZipFile(path) as archive:
            check_archive(archive, path)
            data = parse(archive.read(RECORD), RECORD, path) if RECORD in archive.namelist() else {}
        if EXPORT not in data:
            raise ModelFileError(f"'{path}' was not exported by headfit: {RECORD} has no record.")
        return ExportRecord.from_dict(data[EXPORT])


def _run(path: Path, pixels: Path, result: Path, threads: int | None) -> None:
    settings = {"KERAS_BACKEND": child.default_backend(), "TF_CPP_MIN_LOG_LEVEL": "3"}
    if threads == 1:
        settings["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    command = [sys.executable, "-P", "-c", PROGRAM, str(path), str(pixels), str(result)]
    done = subprocess.run(
        command, env=os.environ | settings, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise EngineError(f"Keras without headfit cannot run '{path}': {last}")
