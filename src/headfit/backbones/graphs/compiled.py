"""A graph compiled by OpenVINO for this CPU, and images streaming through it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from headfit.backbones.engines.interface import Tagged
from headfit.errors import EngineError
from headfit.util import child


@dataclass(frozen=True)
class Setting:
    """How OpenVINO is set to run a graph.

    Attributes:
        hint: ``"THROUGHPUT"``, an image for each core or so, or ``"LATENCY"``, all cores for one.
        batch: images in a request.
    """

    hint: str = "THROUGHPUT"
    batch: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Give plain data that JSON can hold."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.hint}/{self.batch}"


DEFAULT = Setting()


def compile_graph(path: Path, setting: Setting = DEFAULT) -> Any:
    """Compile a graph for this CPU, whatever is not quantised in float32.

    In a thread of its own: OpenVINO gives the thread that compiles an alternate signal stack, and
    when models are freed in the order they were made it leaves one that is freed as well. In the
    main thread the next Ctrl-C would then end in a segmentation fault.

    Raises:
        EngineError: if OpenVINO refuses it.
    """
    with ThreadPoolExecutor(1, "headfit-compile") as pool:
        return pool.submit(_compile, path, setting).result()


def _compile(path: Path, setting: Setting) -> Any:
    child.switch_off_telemetry()
    import openvino as ov  # noqa: PLC0415  (0.3 s, not paid by a cached run)

    # without the precision hint OpenVINO may run bfloat16
    config = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": setting.hint}
    try:
        core = ov.Core()
        graph = core.read_model(str(path))
        graph.reshape([setting.batch, *list(graph.input(0).partial_shape)[1:]])
        return core.compile_model(graph, "CPU", config)
    except Exception as error:
        reason = (str(error).splitlines() or [""])[-1].strip()
        raise EngineError(f"OpenVINO {version('openvino')} refuses the graph: {reason}") from error


def in_flight(compiled: Any) -> int:
    """Give the requests that keep a graph busy: one more than there are streams."""
    return int(max(2, compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))) + 1


def lane(compiled: Any, batch: int) -> Callable[[np.ndarray], np.ndarray]:
    """Make a request of its own for one thread at a time.

    Args:
        compiled: what :func:`compile_graph` gave.
        batch: images that it was compiled for.

    Returns:
        A function from uint8 (n, height, width, 3) to float32 (n, …), n a multiple of ``batch``.
    """
    request = compiled.create_infer_request()

    def run(images: np.ndarray) -> np.ndarray:
        rows = []
        for start in range(0, len(images), batch):
            request.start_async({0: images[start : start + batch]})
            rows.append(_result(request))
        return rows[0] if len(rows) == 1 else np.concatenate(rows)

    return run


def stream(compiled: Any, batches: Iterable[Tagged]) -> Iterator[Tagged]:
    """Send batches through a compiled graph, one request more in flight than there are streams.

    No Python callback is ever given to OpenVINO (as its ``AsyncInferQueue`` would): its worker
    threads would wait for the interpreter while the interpreter, freeing the model, waits for
    them, and once in a while both wait for ever.

    Args:
        compiled: what :func:`compile_graph` gave.
        batches: pairs of any tag and images of the very shape that was compiled.

    Yields:
        Pairs of the tag and the result, in order.
    """
    most = in_flight(compiled)
    busy: deque[tuple[Any, Any]] = deque()
    try:
        for tag, images in batches:
            if len(busy) < most:
                request = compiled.create_infer_request()
            else:
                done, request = busy.popleft()
                yield done, _result(request)
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
    # the buffer belongs to the request, which the next images will overwrite
    result: np.ndarray = request.get_output_tensor().data.copy()
    return result


def save_part(path: Path, number: int, folder: Path) -> None:
    """Write the graph of one cut out of a graph whose rows hold the maps of several.

    Args:
        path: a graph that ends in reshapes to rows and their concatenation.
        number: which of them.
        folder: where ``graph.xml`` and ``graph.bin`` go.
    """
    child.switch_off_telemetry()
    import openvino as ov  # noqa: PLC0415  (0.3 s, not paid by a cached run)

    whole = ov.Core().read_model(str(path))
    row = whole.output(0).get_node().input_value(0).get_node().input_value(number).get_node()
    part = ov.Model([row.input_value(0)], list(whole.get_parameters()), whole.get_friendly_name())
    ov.save_model(part, str(folder / "graph.xml"), compress_to_fp16=False)
