"""How a saved network runs: OpenVINO runs its graph if that gives the right outputs, else Keras.

Importing this module imports nothing heavy; Keras is imported when it has to run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from headfit.backbones.engines.engine import OpenVINOEngine
from headfit.backbones.engines.interface import (
    Engine,
    EngineInfo,
    Lanes,
    ServingEngine,
    Tagged,
    probe_images,
)
from headfit.backbones.graphs.graph import Graph, file_graph
from headfit.errors import EngineError, HeadfitError, ModelFileError
from headfit.images.contract import Contract
from headfit.util import child

AGREEMENT = 1e-3
"""Share of the largest output by which two computations of one network may differ."""
BATCH = 32  # images that Keras is given at once
PREDICTIONS, WITH_MEANS, LOGITS_AND_MAPS = "predictions", "with_means", "logits_and_maps"
OUTPUTS = (PREDICTIONS, WITH_MEANS, LOGITS_AND_MAPS)
"""What a saved model can be opened to give: functions of :mod:`headfit.model.networks`."""
HEAD = "head.npz"  # beside a graph that gives maps: the arrays of the head
MapShape = tuple[int, int, int]
Tell = Callable[[str], None]


class Runner:
    """A network that takes pixels. It is an engine: see :class:`Engine`.

    The graph is built, and the probe images are run, on first use.

    Args:
        contract: size of the images, and what happens to their pixels before the network.
        graph: finds or builds the graph and returns its path; raises ``EngineError`` if there is
            none. None if only Keras can run this network.
        model: opens the same network in Keras. None if only the graph can run.
        check: is given the outputs for the probe images, float32 (2, …), and raises
            ``EngineError`` if they are wrong.
        tell: called with a line of text when Keras has to run instead of OpenVINO.
        shape: height, width and channels of one output.
        parameters: number of weights.
    """

    def __init__(
        self,
        contract: Contract,
        graph: Callable[[], Path] | None,
        model: Callable[[], Any] | None,
        *,
        check: Callable[[np.ndarray], None] = lambda _: None,
        tell: Tell = lambda _: None,
        shape: MapShape = (1, 1, 1),
        parameters: int = 0,
    ) -> None:
        self._contract, self._graph, self._model = contract, graph, model
        self._check, self._tell = check, tell
        self._shape, self._parameters = shape, parameters

    @property
    def info(self) -> EngineInfo:
        """What is known of the engine that runs; its name is ``"openvino"`` or ``"keras"``."""
        return self._opened[0].info

    @property
    def probes(self) -> np.ndarray:
        """The outputs for the two probe images, float32 (2, …)."""
        return self._opened[1]

    def open(self) -> None:
        """Open the engine now, not on first use.

        Raises:
            EngineError: if no engine gives the right outputs.
        """
        self._opened  # noqa: B018

    def run(self, batches: Iterable[Tagged]) -> Iterator[Tagged]:
        """Run images one by one; see :meth:`Engine.run`."""
        return self._opened[0].run(batches)

    def lanes(self) -> Lanes:
        """Give what lets several threads run uint8 images; see :class:`Lanes`."""
        return self._opened[0].lanes()

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Run an array of images.

        Args:
            images: RGB 0–255, (n, height, width, 3). The graph takes whole grey levels, so Keras
                runs images that are not uint8.

        Returns:
            float32 (n, …).
        """
        engine = self._opened[0] if images.dtype == np.uint8 else self._keras
        if isinstance(engine, SavedModelEngine):
            return engine.predict(images)
        return _outputs(engine, images)

    @cached_property
    def _opened(self) -> tuple[ServingEngine, np.ndarray]:
        """The engine that runs, and its outputs for the probe images."""
        if self._graph is None:
            return self._proved(self._keras)
        try:
            return self._proved(OpenVINOEngine(self._graph(), self._info("openvino")))
        except EngineError as error:
            if self._model is None:
                raise
            self._tell(f"OpenVINO cannot run this model here ({error}); Keras runs it, slower.")
            return self._proved(self._keras)

    def _proved(self, engine: ServingEngine) -> tuple[ServingEngine, np.ndarray]:
        probes = _outputs(engine, probe_images(self._contract.height, self._contract.width))
        self._check(probes)
        return engine, probes

    @cached_property
    def _keras(self) -> SavedModelEngine:
        if self._model is None:
            raise EngineError("only the graph of this network can run")
        return SavedModelEngine(self._model(), self._contract, self._info("keras"))

    def _info(self, name: str) -> EngineInfo:
        return EngineInfo(name, self._shape, self._parameters, "", 1.0)


class SavedModelEngine:
    """A model that Keras loaded, as an engine."""

    def __init__(self, model: Any, contract: Contract, info: EngineInfo) -> None:
        self.info = info
        self._model, self._contract = model, contract

    def run(self, batches: Iterable[Tagged]) -> Iterator[Tagged]:
        """See :meth:`Engine.run`."""
        for tag, images in batches:
            yield tag, self.predict(images)

    def lanes(self) -> Lanes:
        """See :class:`~headfit.backbones.engines.interface.Lanes`; one that takes batches."""
        return Lanes(1, BATCH, lambda: self.predict)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Give the outputs, float32 (n, …), for RGB pixels 0–255 of any type."""
        parts = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
        rows = [self._model.predict_on_batch(self._contract.apply(part)) for part in parts]
        return np.concatenate([np.asarray(each, np.float32) for each in rows])


def unscaled(contract: Contract) -> Contract:
    """Give a contract of the same size for a model that scales pixels itself."""
    return Contract(contract.height, contract.width, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))


def keras_network(path: Path, outputs: str = PREDICTIONS) -> Any:
    """Open a model file on the user's Keras backend, in safe mode.

    Args:
        path: the file.
        outputs: what it is to give, one of :data:`OUTPUTS`.

    Raises:
        ModelFileError: if Keras cannot load it.
        EngineError: if headfit did not put it together.
    """
    os.environ["KERAS_BACKEND"] = child.default_backend()
    from headfit.model.networks import OPENED  # noqa: PLC0415  (imports Keras)

    try:
        return OPENED[outputs](path)
    except HeadfitError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelFileError(f"Keras cannot load '{path}': {reason}") from error


@dataclass(frozen=True)
class GraphRequest(child.Request):
    """Write the graph of a saved model into ``folder``; it takes raw uint8 pixels."""

    function = "headfit.model.networks_child:write_graph"
    opens = "path"
    path: str
    height: int
    width: int
    outputs: str
    folder: str


def saved_graph(path: Path, contract: Contract, outputs: str, tell: Tell) -> Graph:
    """Find the graph of a saved model, or build it.

    Args:
        path: the model file.
        contract: how a file becomes the pixels that the model takes.
        outputs: what the graph gives, one of :data:`OUTPUTS`.
        tell: called with a line of text if it has to be built.

    Raises:
        EngineError: if it cannot be built.
    """

    def request(folder: Path) -> GraphRequest:
        return GraphRequest(str(path), contract.height, contract.width, outputs, str(folder))

    return file_graph(path, contract, outputs, request, tell)


def check_outputs(outputs: np.ndarray, expected: np.ndarray, spread: np.ndarray) -> None:
    """Make sure that a network gives what it gave when it was written.

    Args:
        outputs: float (n, K).
        expected: the same, as stored.
        spread: (K,), what a difference is measured against; 1 for probabilities.

    Raises:
        EngineError: if an output differs by more than a thousandth.
    """
    apart = np.abs(outputs - expected)
    difference = float((apart / spread).max())
    if not difference <= AGREEMENT:
        raise EngineError(f"its outputs differ by {apart.max():.2g} from those stored in the file")


def largest_difference(outputs: np.ndarray, expected: np.ndarray) -> float:
    """Give the largest difference as a share of the largest output, or of 1 if that is larger."""
    scale = max(1.0, float(np.abs(expected).max()))
    return float(np.abs(outputs - expected).max()) / scale


def _outputs(engine: Engine, images: np.ndarray) -> np.ndarray:
    rows = dict(engine.run((number, image[None]) for number, image in enumerate(images)))
    return np.concatenate([rows[number] for number in range(len(images))])
