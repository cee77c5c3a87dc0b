"""The fast forward pass: pixels in, feature maps out.

OpenVINO in float32 runs the graph that Keras' own OpenVINO backend built; a graph is trusted only
once it has agreed with Keras on the probe images. Where that cannot be had, Keras itself runs the
model, and says so. Where Keras has a graphics processor, Keras runs it there.
"""

from __future__ import annotations

from collections.abc import Callable

from headfit.backbones import graph_cache
from headfit.backbones.catalog import BackboneSpec
from headfit.backbones.gpu import find_gpu
from headfit.backbones.int8 import Calibration, int8_graph
from headfit.backbones.interface import (
    FLOAT32,
    INT8,
    PRECISIONS,
    Engine,
    EngineInfo,
    Tagged,
    default_backend,
)
from headfit.backbones.keras_engine import KerasEngine
from headfit.backbones.openvino_engine import OpenVINOEngine
from headfit.backbones.tuning import tuned
from headfit.errors import EngineError
from headfit.images.contract import Contract

__all__ = [
    "ENGINES",
    "FLOAT32",
    "INT8",
    "PRECISIONS",
    "Engine",
    "EngineInfo",
    "KerasEngine",
    "OpenVINOEngine",
    "Tagged",
    "default_backend",
    "open_engine",
]
ENGINES = ("auto", "openvino", "keras")


def open_engine(
    spec: BackboneSpec,
    contract: Contract,
    weights: str,
    *,
    engine: str = "auto",
    calibration: Calibration | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Engine:
    """Get the fastest engine that agrees with Keras.

    Args:
        spec: the backbone.
        contract: its preprocessing, which fixes the input size.
        weights: ``"imagenet"``, ``"random"`` or a path.
        engine: ``"auto"`` takes Keras if that has a graphics processor, else OpenVINO, else falls
            back to Keras; ``"openvino"`` and ``"keras"`` insist.
        calibration: run in 8-bit integers, their ranges from these images; OpenVINO or nothing.
        tell: called with a line of text when something takes long or falls back.

    Raises:
        WeightsError: if the weights are not to be had or do not fit.
        EngineError: if the engine or the precision that was insisted on cannot be had here.
    """
    if calibration is not None:
        return _open_openvino(spec, contract, weights, tell, calibration)
    device = "" if engine == "openvino" else find_gpu(default_backend(), tell)
    if engine == "keras":
        return KerasEngine(spec, contract, weights, device=device)
    if device:
        note = f"Keras ({default_backend()}) runs {spec.name} on {device}."
        tell(note)
        return KerasEngine(spec, contract, weights, note, device)
    try:
        return _open_openvino(spec, contract, weights, tell)
    except EngineError as error:
        if engine == "openvino":
            raise
        note = f"OpenVINO cannot run {spec.name} here ({error}); Keras runs it, slower."
        tell(note)
        return KerasEngine(spec, contract, weights, note)


def _open_openvino(
    spec: BackboneSpec,
    contract: Contract,
    weights: str,
    tell: Callable[[str], None],
    calibration: Calibration | None = None,
) -> OpenVINOEngine:
    graph = graph_cache.backbone_graph(spec, contract, weights, default_backend(), tell)
    if calibration is not None:
        graph = int8_graph(graph, contract, calibration, tell)
    setting, compiled = tuned(graph.path)
    info = EngineInfo.from_dict({"name": "openvino", **graph.facts})
    return OpenVINOEngine(graph.path, info, setting, compiled)
