"""A saved model opened at its feature map: images in, logits and maps out."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headfit.fitting.kinds import KINDS
from headfit.heads.pooling import MapShape
from headfit.images.contract import Contract
from headfit.model.metadata import ModelRecord
from headfit.model.runner import (
    HEAD,
    LOGITS_AND_MAPS,
    Runner,
    Tell,
    check_outputs,
    keras_network,
    saved_graph,
    unscaled,
)
from headfit.util import child, files

HIRESCAM = "hirescam.npy"
Rows = npt.NDArray[np.float32]


@dataclass(frozen=True)
class HirescamRequest(child.Request):
    """Write gradient × map of ``maps``, an ``.npy``, for the output ``targets`` of each."""

    function = "headfit.model.networks_child:hirescam"
    opens = "path"
    path: str
    maps: str
    targets: list[int]
    folder: str


class SavedMapModel:
    """A classifier opened at its feature map; see :class:`headfit.explain.explainer.MapModel`.

    Args:
        path: a ``model.keras`` that headfit wrote.
        record: its metadata.
        tell: called with a line of text when something takes long or falls back.
    """

    def __init__(self, path: Path, record: ModelRecord, tell: Tell) -> None:
        self.path, self.head, self.classes = path, record.head, record.classes
        self.kind = record.kind
        self.contract: Contract = record.contract
        self._record, self._tell = record, tell
        self._facts: dict[str, Any] = {}
        self._arrays: dict[str, np.ndarray] = {}
        self._runner = Runner(
            unscaled(record.contract), self._graph, self._keras, check=self._check, tell=tell
        )

    def run(self, pixels: np.ndarray) -> tuple[npt.NDArray[np.float64], Rows]:
        """Give the logits and maps of images; Keras runs those that are not uint8."""
        rows = self._runner.predict(pixels)
        classes = len(self.classes)
        maps = rows[:, classes:].reshape(len(rows), *self.map_shape)
        return rows[:, :classes].astype(np.float64), maps

    @property
    def map_shape(self) -> MapShape:
        """Height, width and channels of the map."""
        height, width, channels = self._opened["map_shape"]
        return height, width, channels

    @property
    def shape(self) -> float:
        """The pooling's parameter that is not among its arrays; 0 if there is none."""
        return float(self._opened["shape"] or 0.0)

    def arrays(self, kind: str) -> list[npt.NDArray[np.float64]]:
        """Give the arrays of the pooling, or of the body that follows it."""
        self._runner.open()
        names = sorted(
            (name for name in self._arrays if name.startswith(kind)),
            key=lambda name: int(name.partition("_")[2]),
        )
        return [self._arrays[name].astype(np.float64) for name in names]

    def hirescam(
        self, maps: Rows, targets: npt.NDArray[np.int64]
    ) -> tuple[Rows, npt.NDArray[np.float64]]:
        """Multiply each map by its logit's gradient and sum over the channels, in a child process.

        The output of each image is its target.
        """
        with tempfile.TemporaryDirectory(prefix=files.scratch_prefix()) as folder:
            file = Path(folder) / "maps.npy"
            np.save(file, maps)
            request = HirescamRequest(str(self.path), str(file), targets.tolist(), folder)
            answer = child.call(request, backend="jax")
            heat = np.load(Path(folder) / HIRESCAM, allow_pickle=False)
        return heat, np.array(answer["baseline"], np.float64)

    @property
    def _opened(self) -> dict[str, Any]:
        """The facts of the network, from whichever engine runs it."""
        if not self._facts:
            self._runner.open()
        return self._facts

    def _graph(self) -> Path:
        graph = saved_graph(self.path, self.contract, LOGITS_AND_MAPS, self._tell)
        with np.load(graph.path.parent / HEAD, allow_pickle=False) as arrays:
            self._facts, self._arrays = graph.facts, dict(arrays)
        return graph.path

    def _keras(self) -> Any:
        network = keras_network(self.path, LOGITS_AND_MAPS)
        self._facts, self._arrays = network.facts, network.head
        return network.model

    def _check(self, rows: np.ndarray) -> None:
        logits = rows[:, : len(self.classes)].astype(np.float64)
        record = self._record
        outputs = KINDS[record.kind].link(logits)
        check_outputs(outputs, np.array(record.probe), record.spread)
