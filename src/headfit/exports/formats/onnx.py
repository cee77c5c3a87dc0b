"""ONNX: one file, run by ONNX Runtime; written by way of JAX, without TensorFlow or PyTorch."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headfit.errors import EngineError, ModelFileError
from headfit.exports.formats.format import (
    FLOAT16,
    FLOAT32,
    INT8,
    PRECISIONS,
    Predict,
    Subject,
    require,
)
from headfit.exports.network import NetworkRequest
from headfit.exports.record import IMAGES, KEY, ExportRecord
from headfit.util import child, files

OPSET = 20
AT_ONCE = 32


@dataclass(frozen=True)
class OnnxRequest(NetworkRequest):
    """Write a classifier as ONNX; on the backend JAX."""

    function = "headfit.exports.formats.onnx_child:write_onnx"
    runs_once = True  # what JAX compiles are initial weights, which are replaced at once


@dataclass(frozen=True)
class HalfRequest(child.Request):
    """Store the weights of an ONNX file in half precision."""

    function = "headfit.exports.formats.onnx_child:halve"
    source: str
    target: str


@dataclass(frozen=True)
class QuantiseOnnxRequest(child.Request):
    """Quantise an ONNX file.

    Attributes:
        source: the float32 file.
        pixels: images that the ranges are taken from, uint8 (n, H, W, 3) as ``.npy``.
        target: the file to write.
    """

    function = "headfit.exports.formats.onnx_child:quantise"
    source: str
    pixels: str
    target: str


class Onnx:
    """See :class:`~headfit.exports.formats.format.Format`.

    The record is the entry ``headfit`` of ``metadata_props``.
    """

    name = "onnx"
    file = "model.onnx"
    precisions = PRECISIONS
    outlier_score = True

    def check(self, precision: str = FLOAT32) -> None:
        """Refuse where the packages are missing."""
        require("onnx", "`to='onnx'`", "jax2onnx", "onnx", "onnxruntime")

    def write(self, subject: Subject, path: Path) -> None:
        """Write the file."""
        with tempfile.TemporaryDirectory(prefix=files.scratch_prefix()) as folder:
            exact = Path(folder) / "float32.onnx"
            target = exact if subject.precision in (FLOAT16, INT8) else path
            request = OnnxRequest(
                str(subject.path),
                subject.record.to_json(),
                subject.outlier_score,
                subject.fuse,
                str(target),
            )
            child.call(request, backend="jax")
            if subject.precision == FLOAT16:
                child.call(HalfRequest(str(exact), str(path)), backend="jax")
            elif subject.precision == INT8:
                pixels = Path(folder) / "pixels.npy"
                np.save(pixels, subject.calibration())
                request8 = QuantiseOnnxRequest(str(exact), str(pixels), str(path))
                child.call(request8, backend="jax")

    def open(self, path: Path, threads: int | None = None) -> Predict:
        """Open it in ONNX Runtime, on the CPU."""
        session = runtime_session(path, threads)

        def predict(images: np.ndarray) -> np.ndarray:
            parts = [
                np.concatenate(session.run(None, {IMAGES: images[start : start + AT_ONCE]}), axis=1)
                for start in range(0, len(images), AT_ONCE)
            ]
            return np.concatenate(parts)

        return predict

    def read_record(self, path: Path) -> ExportRecord:
        """Read the record from ``metadata_props``."""
        import onnx  # noqa: PLC0415  (optional)

        entries = onnx.load(str(path), load_external_data=False).metadata_props
        texts = [entry.value for entry in entries if entry.key == KEY]
        if not texts:
            raise ModelFileError(f"'{path}' was not exported by headfit: it has no entry '{KEY}'.")
        return ExportRecord.from_json(texts[0])


def runtime_session(path: Path, threads: int | None, library: str = "") -> Any:
    """Open a file in ONNX Runtime.

    Args:
        path: the file.
        threads: how many the runtime may use; its own choice if None.
        library: of further operators.

    Raises:
        EngineError: if the runtime refuses it.
    """
    import onnxruntime  # noqa: PLC0415  (optional)

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4 if library else 3  # what such a file refuses is told by us
    if library:
        options.register_custom_ops_library(library)
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        raise EngineError(f"ONNX Runtime refuses '{path}': {reason}") from error


def batches(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """Give images one by one, (1, H, W, 3)."""
    return (image[None] for image in pixels)
