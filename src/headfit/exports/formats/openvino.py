"""OpenVINO: a folder with ``model.xml`` and ``model.bin``, made by way of our own graph."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headfit.backbones.graphs.int8 import QuantiseRequest, check_installed
from headfit.errors import EngineError, ModelFileError
from headfit.exports.formats.format import FLOAT16, FLOAT32, INT8, PRECISIONS, Predict, Subject
from headfit.exports.network import NetworkRequest
from headfit.exports.record import KEY, ExportRecord
from headfit.util import child, files

XML = "model.xml"
AT_ONCE = 32


@dataclass(frozen=True)
class OpenVINORequest(NetworkRequest):
    """Write a classifier as ``graph.xml`` and ``graph.bin`` into the folder ``target``.

    Attributes:
        channels_first: see :func:`headfit.exports.network_child.network`.
    """

    function = "headfit.exports.formats.openvino_child:write_graph"
    channels_first: bool = True


class OpenVINO:
    """See :class:`~headfit.exports.formats.format.Format`.

    The record is the entry ``headfit`` of the model's ``rt_info``.
    """

    name = "openvino"
    file = "openvino"
    precisions = PRECISIONS
    outlier_score = True

    def check(self, precision: str = FLOAT32) -> None:
        """Refuse 8-bit integers where nncf is missing; OpenVINO comes with headfit."""
        if precision == INT8:
            check_installed()

    def write(self, subject: Subject, path: Path) -> None:
        """Write the folder."""
        with tempfile.TemporaryDirectory(prefix=files.scratch_prefix()) as folder:
            record, graph = subject.record.to_json(), Path(folder) / "graph.xml"
            request = OpenVINORequest(
                str(subject.path), record, subject.outlier_score, subject.fuse, folder
            )
            child.call(request, backend=child.FAST_BACKEND)
            if subject.precision == INT8:
                pixels, quantised = Path(folder) / "pixels.npy", Path(folder) / "int8"
                quantised.mkdir()
                np.save(pixels, subject.calibration())
                request8 = QuantiseRequest(str(graph), str(pixels), str(quantised))
                child.call(request8, backend="jax")
                graph = quantised / "graph.xml"
            path.mkdir()
            _save(graph, path / XML, record, half=subject.precision == FLOAT16)

    def open(self, path: Path, threads: int | None = None) -> Predict:
        """Compile it for the CPU, in float32."""
        compiled = _compiled(path / XML, threads)

        def predict(images: np.ndarray) -> np.ndarray:
            parts = []
            for start in range(0, len(images), AT_ONCE):
                results = compiled(images[start : start + AT_ONCE])
                rows = [np.asarray(results[number]) for number in range(len(compiled.outputs))]
                parts.append(np.concatenate(rows, axis=1))
            return np.concatenate(parts)

        return predict

    def read_record(self, path: Path) -> ExportRecord:
        """Read the record from ``rt_info``."""
        model = _core().read_model(str(path / XML))
        if not model.has_rt_info([KEY]):
            raise ModelFileError(f"'{path}' was not exported by headfit: it has no entry '{KEY}'.")
        return ExportRecord.from_json(str(model.get_rt_info([KEY]).value))


def _core() -> Any:
    child.switch_off_telemetry()
    import openvino  # noqa: PLC0415  (0.3 s)

    return openvino.Core()


def _save(graph: Path, path: Path, record: str, *, half: bool) -> None:
    core = _core()
    import openvino  # noqa: PLC0415

    model = core.read_model(str(graph))
    model.set_rt_info(record, [KEY])
    openvino.save_model(model, str(path), compress_to_fp16=half)


def _compiled(path: Path, threads: int | None) -> Any:
    # without the hint OpenVINO may run bfloat16
    config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads is not None:
        config["INFERENCE_NUM_THREADS"] = threads
    core = _core()
    try:
        return core.compile_model(core.read_model(str(path)), "CPU", config)
    except Exception as error:
        reason = (str(error).splitlines() or [""])[-1].strip()
        raise EngineError(f"OpenVINO refuses '{path}': {reason}") from error
