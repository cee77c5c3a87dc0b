"""A model that was split at its map, with its weights and its networks."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from headfit.backbones.spec import Preprocessing
from headfit.conversion.algebra import Form
from headfit.conversion.networks import AFTER, BEFORE, MAPS, PutTogether, RunRest, TakeApart
from headfit.errors import EngineError, ModelFileError
from headfit.fitting.sigmoid import sigmoid
from headfit.fitting.softmax import softmax
from headfit.images.contract import Contract
from headfit.model.runner import AGREEMENT, Runner, Tell, keras_network, largest_difference
from headfit.util import child
from headfit.util.child import FAST_BACKEND, default_backend


@dataclass(frozen=True)
class OpenedModel:
    """A model that was split at its map, and a folder for temporary files.

    Attributes:
        path: the model file.
        folder: holds ``kernel.npy``, ``bias.npy`` and networks.
        facts: what :func:`headfit.conversion.networks_child.take_apart` gives.
        contract: the steps from an image file to the model's input.
        graphs: whether OpenVINO runs the networks; else Keras does.
    """

    path: Path
    folder: Path
    facts: dict[str, Any]
    contract: Contract
    graphs: bool

    @classmethod
    def open(
        cls, path: Path, folder: Path, preprocessing: Preprocessing, tell: Tell
    ) -> OpenedModel:
        """Take a model apart in a child process.

        Raises:
            ModelFileError: if it cannot be read or has another top.
        """
        plain = _plain(preprocessing)
        request = TakeApart(str(path), plain, str(folder), graphs=True)
        graphs = True
        try:
            facts = child.call(request, backend=FAST_BACKEND)
        except EngineError as error:
            graphs, reason = False, error
            try:
                request = replace(request, graphs=False)
                facts = child.call(request, backend=default_backend())
            except EngineError as second:
                text = str(second)
                text = text if f"'{path}'" in text else f"'{path}' cannot be used: {text}"
                raise ModelFileError(text) from None
            tell(f"OpenVINO cannot run this model here ({reason}); Keras runs it, slower.")
        height, width = facts["input"]
        return cls(path, folder, facts, Contract(height, width, **plain), graphs)

    @cached_property
    def kernel(self) -> np.ndarray:
        """The dense layer's kernel, float32 (features, K)."""
        return np.asarray(np.load(self.folder / "kernel.npy", allow_pickle=False))

    @cached_property
    def bias(self) -> np.ndarray:
        """Its bias, float32 (K,); zeros if it has none."""
        return np.asarray(np.load(self.folder / "bias.npy", allow_pickle=False))

    @property
    def own(self) -> Form:
        """The model's own top; a spatial prior counts as the equivalent flatten."""
        kind = "gap" if self.facts["pooling"] == "gap" else "flatten"
        return Form(kind, {"kernel": self.kernel, "bias": self.bias})

    @cached_property
    def maps_runner(self) -> Runner:
        """The network from an image to its feature map, (1, H, W, C)."""
        return self._runner(MAPS, self.folder / f"{MAPS}.keras")

    @cached_property
    def probes(self) -> np.ndarray:
        """The feature maps of the probe images, float32 (2, P, C)."""
        maps = self.maps_runner.probes
        return maps.reshape(len(maps), -1, maps.shape[-1])

    def outputs_before(self) -> np.ndarray:
        """Outputs of the model for the probe images, float32 (2, outputs)."""
        return self._runner(BEFORE, self.path).probes

    def outputs_after(self, written: Path) -> np.ndarray:
        """Outputs of the converted model for the probe images."""
        return self._runner(AFTER, written).probes

    def outputs(self, numbers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute the model's outputs from the dense layer's sums.

        Args:
            numbers: arrays (n, K) by name.

        Returns:
            Arrays (n, outputs), float64, under the same names.
        """
        ending = self.facts["ending"]
        if ending is not None:
            finish = {"softmax": softmax, "sigmoid": sigmoid}.get(ending, np.asarray)
            return {name: finish(z.astype(np.float64)) for name, z in numbers.items()}
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            sums, results = Path(place) / "sums.npz", Path(place) / "results.npz"
            np.savez(sums, **numbers)  # type: ignore[arg-type]
            request = RunRest(str(self.path), str(sums), str(results))
            child.call(request, backend=default_backend())
            with np.load(results, allow_pickle=False) as outputs:
                return {name: outputs[name].astype(np.float64) for name in numbers}

    def write(self, form: Form, target: Path) -> dict[str, Any]:
        """Write the model with another top, ending in ``.keras``.

        Returns:
            What :func:`headfit.conversion.networks_child.put_together` gives.
        """
        weights = self.folder / "weights.npz"
        np.savez(weights, **form.arrays)  # type: ignore[arg-type]
        request = PutTogether(
            str(self.path),
            form.kind,
            str(weights),
            _plain(self.contract),
            str(self.folder),
            str(target),
            self.graphs,
        )
        return child.call(request, backend=FAST_BACKEND if self.graphs else default_backend())

    def _runner(self, name: str, path: Path) -> Runner:
        height, width, channels = self.facts["map_shape"]
        graph, model = self.folder / name / "graph.xml", lambda: keras_network(path).model
        return Runner(
            self.contract,
            (lambda: graph) if self.graphs else None,
            None if self.graphs else model,
            shape=(height, width, channels),
            parameters=self.facts["parameters"],
        )


def check_agreement(outputs: np.ndarray, expected: np.ndarray, what: str) -> None:
    """Make sure that a network gives the outputs computed from its weights.

    Raises:
        EngineError: if it does not.
    """
    off = largest_difference(outputs, expected)
    if not off <= AGREEMENT:
        raise EngineError(
            f"{what} gives outputs that differ by {off:.2g} from those computed from its weights. "
            f"Nothing was written. Its top may contain something that headfit does not know. "
            f"Please report this."
        )


def _plain(preprocessing: Preprocessing | Contract) -> dict[str, Any]:
    scale, offset = list(preprocessing.scale), list(preprocessing.offset)
    return {"scale": scale, "offset": offset, "bgr": preprocessing.bgr}
