"""LiteRT, formerly TensorFlow Lite: one file, for phones, single-board computers and browsers."""

from __future__ import annotations

import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headfit.errors import ModelFileError
from headfit.exports.formats.format import FLOAT32, INT8, PRECISIONS, Predict, Subject, require
from headfit.exports.formats.runtime import Runtime
from headfit.exports.network import NetworkRequest
from headfit.exports.record import ExportRecord
from headfit.util import child, files

RECORD, LABELS = "headfit.json", "labels.txt"
"""Files that are appended to the model as a zip archive, which the interpreter does not read. So
TensorFlow Lite's own metadata tools append labels; any zip reader opens it."""
MAX_RECORD = 16_000_000  # bytes that are read of a record


@dataclass(frozen=True)
class LiteRTRequest(NetworkRequest):
    """Write a classifier as a LiteRT file; on the backend TensorFlow.

    Attributes:
        precision: ``"float32"``, ``"float16"`` or ``"int8"``.
        pixels: for int8, images that the ranges are taken from, uint8 (n, H, W, 3) as ``.npy``.
    """

    function = "headfit.exports.formats.litert_child:write_litert"
    precision: str = "float32"
    pixels: str = ""


class LiteRT:
    """See :class:`~headfit.exports.formats.format.Format`.

    The record is the file ``headfit.json`` of a zip archive that is appended to the model.
    """

    name = "litert"
    file = "model.tflite"
    precisions = PRECISIONS
    outlier_score = True

    def check(self, precision: str = FLOAT32) -> None:
        """Refuse where TensorFlow, which writes the file, or LiteRT, which runs it, is missing."""
        require("tensorflow", "`to='litert'`", "tensorflow", "ai_edge_litert")

    def write(self, subject: Subject, path: Path) -> None:
        """Write the file."""
        with tempfile.TemporaryDirectory(prefix=files.scratch_prefix()) as folder:
            pixels = Path(folder) / "pixels.npy"
            if subject.precision == INT8:
                np.save(pixels, subject.calibration())
            request = LiteRTRequest(
                str(subject.path),
                subject.record.to_json(),
                subject.outlier_score,
                subject.fuse,
                str(path),
                precision=subject.precision,
                pixels=str(pixels),
            )
            child.call(request, backend="tensorflow")
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(RECORD, subject.record.to_json())
            archive.writestr(LABELS, "\n".join(subject.record.classes))

    def open(self, path: Path, threads: int | None = None) -> Predict:
        """Open it with LiteRT's interpreter in a process of its own."""
        return Runtime(self.name, path, threads)

    def read_record(self, path: Path) -> ExportRecord:
        """Read the record from the archive at the end of the file."""
        try:
            with zipfile.ZipFile(path) as archive, archive.open(RECORD) as member:
                return ExportRecord.from_json(member.read(MAX_RECORD))
        except (OSError, KeyError, zipfile.BadZipFile):
            raise ModelFileError(
                f"'{path}' was not exported by headfit: no {RECORD} is appended to it."
            ) from None
