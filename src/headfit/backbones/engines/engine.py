"""The fast forward pass: pixels in, feature maps out.

OpenVINO in float32 runs the graph that Keras' own OpenVINO backend built; a graph is trusted only
once it has agreed with Keras on the probe images. Where there is no such graph, Keras itself runs
the model, and says so. Where Keras has a graphics processor, Keras runs it there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from headfit.backbones.catalog import BackboneSpec
from headfit.backbones.engines.gpu import find_gpu
from headfit.backbones.engines.interface import (
    FLOAT32,
    INT8,
    PRECISIONS,
    Engine,
    EngineInfo,
    Joint,
    Lanes,
    Run,
    Tagged,
)
from headfit.backbones.engines.keras_engine import KerasEngine
from headfit.backbones.graphs.compiled import (
    DEFAULT,
    Setting,
    compile_graph,
    in_flight,
    lane,
    stream,
)
from headfit.backbones.graphs.graph import Graph, backbone_graph, part_graph
from headfit.backbones.graphs.int8 import CalibrationImages, int8_graph
from headfit.backbones.graphs.tuning import tuned
from headfit.errors import EngineError, WriteError
from headfit.images.contract import Contract
from headfit.util.child import default_backend

__all__ = [
    "ENGINES",
    "FLOAT32",
    "INT8",
    "PRECISIONS",
    "Engine",
    "EngineInfo",
    "Joint",
    "KerasEngine",
    "OpenVINOEngine",
    "Tagged",
    "open_engine",
    "open_joint",
]
ENGINES = ("auto", "openvino", "keras")


class OpenVINOEngine:
    """A graph on OpenVINO.

    Args:
        path: the graph.
        info: facts about it; the setting is added.
        setting: how to run it.
        compiled: the graph compiled so; compiled here if None.

    Raises:
        EngineError: if OpenVINO refuses the graph.
    """

    def __init__(
        self, path: Path, info: EngineInfo, setting: Setting = DEFAULT, compiled: Any = None
    ) -> None:
        self.info = replace(info, setting=setting.to_dict())
        self._path, self._setting = path, setting
        self._compiled = compile_graph(path, setting) if compiled is None else compiled

    def run(self, batches: Iterable[Tagged]) -> Iterator[Tagged]:
        """See :class:`headfit.backbones.engines.interface.Engine`; results come in order."""
        if self._setting.batch == 1:
            yield from stream(self._compiled, batches)
            return
        rest: list[Tagged] = []
        for tags, maps in stream(self._compiled, self._gathered(batches, rest)):
            for place, tag in enumerate(tags):
                yield tag, maps[place : place + 1]
        # too few for a batch: one at a time, which gives the same bits (see tuning)
        yield from stream(self._one_by_one, rest)

    def _gathered(self, batches: Iterable[Tagged], rest: list[Tagged]) -> Iterator[Tagged]:
        """Join images to whole batches; what is left in the end stays in ``rest``."""
        for tagged in batches:
            rest.append(tagged)
            if len(rest) == self._setting.batch:
                tags, images = zip(*rest, strict=True)
                yield tags, np.concatenate(images)
                rest.clear()

    def lanes(self) -> Lanes:
        """See :class:`~headfit.backbones.engines.interface.Lanes`.

        Batches only where they are faster here, and give the same bits as single images.
        """
        try:
            default = self._compiled if self._setting == DEFAULT else None
            setting, compiled = tuned(self._path, default)
        except WriteError:  # the result of a trial cannot be kept
            setting, compiled = self._setting, self._compiled
        if setting.batch == 1:
            return Lanes(in_flight(compiled), 1, lambda: lane(compiled, 1))
        singles = self._one_by_one

        def opened() -> Run:
            batch, single = lane(compiled, setting.batch), lane(singles, 1)
            return lambda images: (batch if len(images) == setting.batch else single)(images)

        return Lanes(in_flight(compiled), setting.batch, opened)

    @cached_property
    def _one_by_one(self) -> Any:
        if self._setting.batch == 1:
            return self._compiled
        return compile_graph(self._path, replace(self._setting, batch=1))


def open_engine(
    spec: BackboneSpec,
    contract: Contract,
    weights: str,
    *,
    engine: str = "auto",
    calibration: CalibrationImages | None = None,
    tell: Callable[[str], None] = lambda _: None,
    cut: str = "",
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
        cut: the layer that it ends at; empty for its own end.

    Raises:
        WeightsError: if the weights are not available or do not fit.
        EngineError: if the requested engine or precision is not available here.
        UsageError: if the cut is not one of its layers.
    """
    if calibration is not None:
        graph = backbone_graph(spec, contract, weights, default_backend(), tell, [cut])
        return _compiled(int8_graph(graph, contract, calibration, tell))
    return open_joint(spec, contract, weights, [cut], engine=engine, tell=tell).only(0)


def open_joint(
    spec: BackboneSpec,
    contract: Contract,
    weights: str,
    cuts: Sequence[str],
    *,
    engine: str = "auto",
    tell: Callable[[str], None] = lambda _: None,
) -> Joint:
    """Get the fastest engine in float32 that gives the maps of several cuts in one pass.

    Args and errors as those of :func:`open_engine`.
    """
    device = "" if engine == "openvino" else find_gpu(default_backend(), tell)
    if engine == "keras":
        return _keras(spec, contract, weights, cuts, "", device)
    if device:
        note = f"Keras ({default_backend()}) runs {spec.name} on {device}."
        tell(note)
        return _keras(spec, contract, weights, cuts, note, device)
    try:
        return _openvino(spec, contract, weights, cuts, tell)
    except EngineError as error:
        if engine == "openvino":
            raise
        note = f"OpenVINO cannot run {spec.name} here ({error}); Keras runs it, slower."
        tell(note)
        return _keras(spec, contract, weights, cuts, note, "")


def _keras(
    spec: BackboneSpec,
    contract: Contract,
    weights: str,
    cuts: Sequence[str],
    note: str,
    device: str,
) -> Joint:
    engine = KerasEngine(spec, contract, weights, note, device, cuts)
    return Joint(engine, engine.parts, engine.only)


def _openvino(
    spec: BackboneSpec,
    contract: Contract,
    weights: str,
    cuts: Sequence[str],
    tell: Callable[[str], None],
) -> Joint:
    graph = backbone_graph(spec, contract, weights, default_backend(), tell, cuts)
    if len(cuts) == 1:
        return Joint.of(_compiled(graph))
    parts = [EngineInfo.from_dict({"name": "openvino", **facts}) for facts in graph.facts["parts"]]
    setting, compiled = tuned(graph.path)
    values = sum(prod(part.map_shape) for part in parts)
    info = replace(parts[0], map_shape=(1, 1, values))

    def only(number: int) -> Engine:
        # not tuned by itself: it only has to tell how long one image takes
        part = part_graph(graph, spec, contract, weights, cuts, number)
        return OpenVINOEngine(part.path, parts[number], setting)

    return Joint(OpenVINOEngine(graph.path, info, setting, compiled), parts, only)


def _compiled(graph: Graph) -> OpenVINOEngine:
    setting, compiled = tuned(graph.path)
    info = EngineInfo.from_dict({"name": "openvino", **graph.facts})
    return OpenVINOEngine(graph.path, info, setting, compiled)
