"""TensorFlow's SavedModel: a folder, for TensorFlow Serving and whatever else runs TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from headfit.errors import ModelFileError
from headfit.exports.formats.format import FLOAT16, FLOAT32, Predict, Subject, require
from headfit.exports.formats.runtime import Runtime
from headfit.exports.network import NetworkRequest
from headfit.exports.record import ExportRecord
from headfit.util import child

RECORD = "assets.extra/headfit.json"
"""Where the record lies in the folder; TensorFlow leaves ``assets.extra`` to its users."""


@dataclass(frozen=True)
class SavedModelRequest(NetworkRequest):
    """Write a classifier as a SavedModel; on the backend TensorFlow.

    Attributes:
        half: whether weights are stored in half precision.
    """

    function = "headfit.exports.formats.saved_model_child:write_saved_model"
    half: bool = False


class SavedModel:
    """See :class:`~headfit.exports.formats.format.Format`.

    The signature is ``serving_default``. The record is the file ``assets.extra/headfit.json``.
    """

    name = "saved_model"
    file = "saved_model"
    precisions = (FLOAT32, FLOAT16)
    outlier_score = True

    def check(self, precision: str = FLOAT32) -> None:
        """Refuse where TensorFlow is missing."""
        require("tensorflow", "`to='saved_model'`", "tensorflow")

    def write(self, subject: Subject, path: Path) -> None:
        """Write the folder."""
        request = SavedModelRequest(
            str(subject.path),
            subject.record.to_json(),
            subject.outlier_score,
            subject.fuse,
            str(path),
            half=subject.precision == FLOAT16,
        )
        child.call(request, backend="tensorflow")
        (path / RECORD).parent.mkdir(exist_ok=True)
        (path / RECORD).write_text(subject.record.to_json(), "utf-8")

    def open(self, path: Path, threads: int | None = None) -> Predict:
        """Load it with ``tf.saved_model`` in a process of its own."""
        return Runtime(self.name, path, threads)

    def read_record(self, path: Path) -> ExportRecord:
        """Read the record from ``assets.extra``."""
        try:
            text = (path / RECORD).read_bytes()
        except OSError:
            raise ModelFileError(
                f"'{path}' was not exported by headfit: it has no {RECORD}."
            ) from None
        return ExportRecord.from_json(text)
