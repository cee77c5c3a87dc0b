"""Images in, logits and feature maps out: the part of an explanation that takes time."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headfit.backbones.engines.engine import EngineInfo, OpenVINOEngine, default_backend
from headfit.backbones.engines.probe import probe_images
from headfit.backbones.graphs import cache as graph_cache
from headfit.errors import EngineError
from headfit.fitting.softmax import softmax
from headfit.heads.pooling import MapShape
from headfit.model.metadata import ModelRecord
from headfit.util import child as worker
from headfit.util import digests, files

CHILD = "headfit.explain.tracing"
HEAD = "head.npz"
AGREEMENT = 1e-3
Rows = npt.NDArray[np.float32]


class Source:
    """A classifier opened at its feature map: OpenVINO runs it, or Keras in a child process.

    Args:
        path: a ``model.keras`` that headfit wrote.
        record: what it says of itself.
        tell: called with a line of text when something takes long or falls back.
    """

    def __init__(self, path: Path, record: ModelRecord, tell: Callable[[str], None]) -> None:
        self.path, self._record, self._tell = path, record, tell
        self._facts: dict[str, Any] = {}
        self._arrays: dict[str, np.ndarray] = {}

    def run(self, pixels: np.ndarray) -> tuple[npt.NDArray[np.float64], Rows]:
        """Run images.

        Args:
            pixels: RGB 0–255, (n, height, width, 3); uint8, or Keras runs it, so that fractions
                count.

        Returns:
            Logits, float64 (n, K), and the map that the pooling is given, float32 (n, H, W, C).

        Raises:
            EngineError: if neither engine gives the probabilities that the file notes.
        """
        engine = self._engine
        if engine is None or pixels.dtype != np.uint8:
            rows = self._keras(pixels)
        else:
            found = dict(engine.run((i, image[None]) for i, image in enumerate(pixels)))
            rows = np.concatenate([found[i] for i in range(len(pixels))])
        classes = len(self._record.classes)
        maps = rows[:, classes:].reshape(len(rows), *self.map_shape)
        return rows[:, :classes].astype(np.float64), maps

    @property
    def map_shape(self) -> MapShape:
        """Height, width and channels of the map."""
        self._open()
        height, width, channels = self._facts["map_shape"]
        return height, width, channels

    @property
    def shape(self) -> float:
        """The pooling's parameter that is not among its arrays; 0 if there is none."""
        self._open()
        return float(self._facts["shape"] or 0.0)

    def arrays(self, kind: str) -> list[npt.NDArray[np.float64]]:
        """Give the arrays of the head.

        Args:
            kind: ``"pool"``, or ``"body"`` for all that follows it.
        """
        self._open()
        names = sorted(
            (name for name in self._arrays if name.startswith(kind)),
            key=lambda name: int(name.partition("_")[2]),
        )
        return [self._arrays[name].astype(np.float64) for name in names]

    def hirescam(
        self, maps: Rows, targets: npt.NDArray[np.int64]
    ) -> tuple[Rows, npt.NDArray[np.float64]]:
        """Multiply each map by its logit's gradient and sum over the channels, in a child process.

        Args:
            maps: (n, H, W, C).
            targets: (n,), the class of each image.

        Returns:
            float32 (n, H, W), and the logit of each class for a map of zeros, float64 (K,).
        """
        with tempfile.TemporaryDirectory(prefix=files.scratch_prefix()) as name:
            folder = Path(name)
            np.save(folder / "maps.npy", maps)
            request = {
                "path": str(self.path),
                "maps": str(folder / "maps.npy"),
                "targets": targets.tolist(),
                "folder": name,
            }
            answer = worker.call(f"{CHILD}:hirescam", request, backend="jax")
            found = np.load(folder / "hirescam.npy", allow_pickle=False)
        return found, np.array(answer["baseline"], np.float64)

    def _open(self) -> None:
        """Have facts and arrays at hand, whichever engine gives them."""
        if self._engine is None and not self._facts:
            self._keras(probe_images(self._record.contract.height, self._record.contract.width))

    @cached_property
    def _engine(self) -> OpenVINOEngine | None:
        try:
            built = self._graph()
            engine = OpenVINOEngine(
                built.path, EngineInfo("openvino", (1, 1, len(self._record.classes)), 0, "", 1.0)
            )
            self._keep(built.facts, built.path.parent)
            contract = self._record.contract
            images = probe_images(contract.height, contract.width)
            found = dict(engine.run((i, image[None]) for i, image in enumerate(images)))
            self._check(np.concatenate([found[i] for i in range(len(images))]))
            return engine
        except EngineError as error:
            self._tell(f"OpenVINO cannot run this model here ({error}); Keras runs it, slower.")
            self._facts = {}
            return None

    def _graph(self) -> graph_cache.Graph:
        """Find the graph with its head's arrays whole, or build both."""
        contract = self._record.contract
        for _ in range(2):
            built = graph_cache.file_graph(self.path, contract, f"{CHILD}:write_graph", self._tell)
            head = built.path.parent / HEAD
            if head.is_file() and digests.of_file(head) == built.facts["digest"]:
                break
            shutil.rmtree(built.path.parent, ignore_errors=True)
        return built

    def _keras(self, pixels: np.ndarray) -> Rows:
        with tempfile.TemporaryDirectory(prefix=files.scratch_prefix()) as name:
            folder = Path(name)
            contract = self._record.contract
            probes = probe_images(contract.height, contract.width)
            np.save(folder / "pixels.npy", np.concatenate([probes.astype(pixels.dtype), pixels]))
            request = {
                "path": str(self.path),
                "pixels": str(folder / "pixels.npy"),
                "folder": name,
            }
            facts = worker.call(f"{CHILD}:write_rows", request, backend=default_backend())
            self._keep(facts, folder)
            rows: Rows = np.load(folder / "rows.npy", allow_pickle=False)
        self._check(rows[: len(probes)])
        return rows[len(probes) :]

    def _keep(self, facts: dict[str, Any], folder: Path) -> None:
        with np.load(folder / HEAD, allow_pickle=False) as arrays:
            self._facts, self._arrays = facts, dict(arrays)

    def _check(self, rows: Rows) -> None:
        expected = np.array(self._record.probe)
        found = softmax(rows[:, : expected.shape[1]].astype(np.float64))
        difference = float(np.abs(found[: len(expected)] - expected).max())
        if not difference <= AGREEMENT:
            raise EngineError(
                f"its probabilities differ by {difference:.2g} from those noted in the file"
            )
