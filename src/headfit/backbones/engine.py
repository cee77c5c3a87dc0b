"""The fast forward pass: pixels in, feature maps out.

OpenVINO in float32 runs the graph that Keras' own OpenVINO backend built; a graph is trusted only
once it has agreed with Keras on the probe images. Where that cannot be had, Keras itself runs the
model, and says so.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import numpy as np

from headfit import worker
from headfit.backbones import graph_cache
from headfit.backbones.catalog import BackboneSpec
from headfit.errors import EngineError
from headfit.images.contract import Contract

ENGINES = ("auto", "openvino", "keras")
Tagged = tuple[Any, np.ndarray]


@dataclass(frozen=True)
class EngineInfo:
    """What is known of an engine, as it goes into results.

    Attributes:
        name: ``"openvino"`` or ``"keras"``.
        map_shape: (H, W, C) of one feature map.
        parameters: number of weights of the backbone.
        weights_digest: digest of all weights.
        cosine: the lowest cosine against Keras on the probe images; 1 for Keras itself.
        note: why this engine runs, if it is not the one that was asked for.
    """

    name: str
    map_shape: tuple[int, int, int]
    parameters: int
    weights_digest: str
    cosine: float
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give plain data that JSON can hold."""
        return {**asdict(self), "map_shape": list(self.map_shape)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EngineInfo:
        """Rebuild from :meth:`to_dict`."""
        height, width, channels = data["map_shape"]
        return cls(**{**data, "map_shape": (height, width, channels)})


class Engine(Protocol):
    """Runs a frozen network over images, each a batch of one."""

    info: EngineInfo

    def run(self, batches: Iterable[Tagged]) -> Iterator[Tagged]:
        """Run the network.

        Args:
            batches: pairs of any tag and one uint8 image (1, height, width, 3), RGB.

        Yields:
            Pairs of the tag and the float32 result (1, …), in whatever order they are ready.
        """
        ...


def default_backend() -> str:
    """Name the Keras backend to use: the user's, else JAX, which comes with headfit."""
    if "keras" in sys.modules:
        return str(sys.modules["keras"].backend.backend())
    return os.environ.get("KERAS_BACKEND") or "jax"


def open_engine(
    spec: BackboneSpec,
    contract: Contract,
    weights: str,
    *,
    engine: str = "auto",
    tell: Callable[[str], None] = lambda _: None,
) -> Engine:
    """Get the fastest engine that agrees with Keras.

    Args:
        spec: the backbone.
        contract: its preprocessing, which fixes the input size.
        weights: ``"imagenet"``, ``"random"`` or a path.
        engine: ``"auto"`` falls back to Keras; ``"openvino"`` and ``"keras"`` insist.
        tell: called with a line of text when something takes long or falls back.

    Raises:
        WeightsError: if the weights are not to be had or do not fit.
        EngineError: if the engine that was insisted on cannot run here.
    """
    if engine != "keras":
        try:
            return _open_openvino(spec, contract, weights, tell)
        except EngineError as error:
            if engine == "openvino":
                raise
            note = f"OpenVINO cannot run {spec.name} here ({error}); Keras runs it, slower."
            tell(note)
            return KerasEngine(spec, contract, weights, note)
    return KerasEngine(spec, contract, weights)


def _open_openvino(
    spec: BackboneSpec, contract: Contract, weights: str, tell: Callable[[str], None]
) -> OpenVINOEngine:
    entry = graph_cache.backbone_graph(spec, contract, weights, default_backend(), tell)
    return OpenVINOEngine(entry.path, EngineInfo.from_dict({"name": "openvino", **entry.facts}))


class OpenVINOEngine:
    """OpenVINO in float32 and throughput mode, several requests in flight."""

    def __init__(self, path: Path, info: EngineInfo) -> None:
        self.info = info
        self._compiled = graph_cache.compile_graph(path)

    def run(self, batches: Iterable[Tagged]) -> Iterator[Tagged]:
        """See :class:`Engine`; results come in order, one request more than there are streams.

        No Python callback is ever given to OpenVINO (as its ``AsyncInferQueue`` would): its worker
        threads would wait for the interpreter while the interpreter, freeing the model, waits for
        them, and once in a while both wait for ever.
        """
        streams = self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        idle = [self._compiled.create_infer_request() for _ in range(max(2, streams) + 1)]
        busy: deque[tuple[Any, Any]] = deque()
        try:
            for tag, images in batches:
                if not idle:
                    done, request = busy.popleft()
                    idle.append(request)
                    yield done, _result(request)
                request = idle.pop()
                request.start_async({0: images})
                busy.append((tag, request))
            while busy:
                done, request = busy.popleft()
                yield done, _result(request)
        finally:
            for _, request in busy:
                request.wait()


def _result(request: Any) -> np.ndarray:
    request.wait()
    # the buffer belongs to the request, which the next image will overwrite
    result: np.ndarray = request.get_output_tensor().data.copy()
    return result


class KerasEngine:
    """Keras itself, compiled, on the user's backend: the fallback and the reference."""

    def __init__(
        self, spec: BackboneSpec, contract: Contract, weights: str, note: str = ""
    ) -> None:
        worker.switch_off_telemetry()
        backend = os.environ["KERAS_BACKEND"] = default_backend()
        try:
            from headfit.backbones import build  # noqa: PLC0415  (imports Keras)
        except (ImportError, ValueError) as error:
            raise EngineError(
                f"Keras cannot run on the backend '{backend}': {error}. Install it, or unset "
                f"KERAS_BACKEND for JAX."
            ) from error
        self._contract = contract
        self._model = build.build(spec, contract.height, weights)
        height, width, channels = (int(length) for length in self._model.output_shape[1:])
        self.info = EngineInfo(
            "keras",
            (height, width, channels),
            int(self._model.count_params()),
            build.weights_digest(self._model),
            1.0,
            note,
        )

    def run(self, batches: Iterable[Tagged]) -> Iterator[Tagged]:
        """See :class:`Engine`; one batch after the other, in order."""
        for tag, images in batches:
            maps = self._model.predict_on_batch(self._contract.apply(images))
            yield tag, np.asarray(maps, np.float32)


def latency_ms(engine: Engine, contract: Contract, runs: int = 9) -> float:
    """Measure the median time for one image, in milliseconds, after a warm-up."""
    image = np.zeros((1, contract.height, contract.width, 3), np.uint8)
    seconds = []
    for _ in range(runs + 2):
        start = time.perf_counter()
        list(engine.run([(None, image)]))
        seconds.append(time.perf_counter() - start)
    return 1000 * median(seconds[2:])
