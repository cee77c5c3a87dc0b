"""All that a model is made of, before it is one file."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from headfit.backbones.catalog import find
from headfit.backbones.engines.interface import probe_images
from headfit.backbones.weights import weights_identity
from headfit.errors import EngineError
from headfit.finetuning.tuned import TunedStages
from headfit.fitting.fitted import FittedHead
from headfit.fitting.kinds import KINDS
from headfit.heads.chain import Head
from headfit.heads.custom.pooling import CustomPooling
from headfit.images.contract import Contract
from headfit.images.targets import CLASS
from headfit.model.assembly import Assembly
from headfit.model.classifier import Classifier
from headfit.model.metadata import ModelRecord
from headfit.model.provenance import Provenance
from headfit.study.reliability.model_reliability import Reliabilities
from headfit.util import child, digests, files
from headfit.util.cache import MODELS


@dataclass(frozen=True)
class Blueprint:
    """All that a model is made of.

    Attributes:
        backbone: the backbone's name.
        weights: where its weights come from.
        contract: its preprocessing.
        fitted: the trained head.
        classes: names of the classes, labels or numbers.
        probe: predictions of the probe images, float64 (2, K).
        version: of headfit.
        reliability: temperatures, thresholds, intervals for the model file; None leaves them out.
        cut: the layer that the backbone ends at; empty for its own end.
        reference: the text that finds the backbone again; its name if empty.
        tuned: the weights of the layers that were trained; None if the backbone is frozen.
        provenance: verdict, origin of the weights and digest of the data, for the model file.
    """

    backbone: str
    weights: str
    contract: Contract
    fitted: FittedHead
    classes: tuple[str, ...]
    probe: np.ndarray
    version: str
    reliability: Reliabilities | None = None
    cut: str = ""
    reference: str = ""
    tuned: TunedStages | None = None
    provenance: Provenance | None = None

    def write(self, path: Path) -> None:
        """Write the ``.keras`` file, whole or not at all; not again if it is there already.

        Raises:
            EngineError: if Keras cannot build or save the model, or it does not give the outputs
                that training ended with.
            WriteError: if it cannot be written.
        """
        key = self._digest()
        noted = MODELS.read(key)
        if noted is None or not path.is_file() or digests.of_file(path) != noted["file"]:
            files.write_file(path, self._write)
            MODELS.write(key, {"file": digests.of_file(path)})

    def classifier(self) -> Classifier:
        """Make the classifier, from a file that is removed together with it."""
        folder = Path(tempfile.mkdtemp(prefix=files.scratch_prefix()))
        self.write(folder / "model.keras")
        result = Classifier(folder / "model.keras")
        weakref.finalize(result, shutil.rmtree, folder, ignore_errors=True)
        return result

    def _digest(self) -> str:
        """Digest all that the file depends on."""
        source = weights_identity(find(self.reference or self.backbone), self.weights)
        weights = [digests.of_bytes(np.ascontiguousarray(w).data) for w in self.fitted.weights]
        return digests.of_data(
            {
                "format": MODELS.format,
                **({"cut": self.cut} if self.cut else {}),
                **({"kind": self.fitted.kind} if self.fitted.kind != CLASS else {}),
                **({"tuned": self.tuned.identity()} if self.tuned else {}),
                **({"provenance": self.provenance.to_dict()} if self.provenance else {}),
                "backbone": [self.backbone, source],
                "contract": self.contract.to_dict(),
                "head": [self.fitted.head.identity, self.fitted.shape, self.fitted.scale, weights],
                "classes": list(self.classes),
                "probe": self.probe.tolist(),
                "versions": [self.version, version("keras")],
                "reliability": self._reliability_digest(),
            }
        )

    def _reliability_digest(self) -> list[Any] | None:
        if self.reliability is None:
            return None
        data, arrays = self.reliability.to_data()
        parts = {n: digests.of_bytes(np.ascontiguousarray(a).data) for n, a in arrays.items()}
        return [data, parts]

    def _write(self, path: Path) -> None:
        with tempfile.TemporaryDirectory(prefix=files.scratch_prefix()) as folder:
            arrays = self.fitted.head.name_weights(self.fitted.weights)
            np.savez(Path(folder) / "head.npz", **arrays)
            request = Assembly(
                backbone=self.reference or self.backbone,
                weights=self.weights,
                contract=self.contract.to_dict(),
                head=self.fitted.head.name,
                shape=self.fitted.shape,
                scale=self.fitted.scale,
                classes=len(self.classes),
                head_weights=str(Path(folder) / "head.npz"),
                path=str(path),
                cut=self.cut,
                activation=KINDS[self.fitted.kind].activation,
                **_custom(self.fitted.head),
                **_tuned(self.tuned, Path(folder) / "tuned.npz"),
            )
            # Keras' OpenVINO backend builds a model in half a second; JAX compiles for ten
            child.call(request, backend=child.FAST_BACKEND, fallback=child.default_backend())
        probe = tuple(tuple(map(float, row)) for row in self.probe)
        record = ModelRecord(
            self.classes,
            self.contract,
            self.fitted.head.name,
            self.backbone,
            probe,
            self.version,
            self.reliability,
            self.provenance,
            self.fitted.kind,
        )
        record.append_to(path)
        if self.tuned:
            self._check(path)

    def _check(self, path: Path) -> None:
        """See that the file, opened again, gives the outputs that training ended with."""
        try:
            Classifier(path).outputs(probe_images(self.contract.height, self.contract.width))
        except EngineError as error:
            raise EngineError(
                f"The model was not written: opened again, {error}, with which training ended."
            ) from None


def _tuned(tuned: TunedStages | None, path: Path) -> dict[str, Any]:
    """Write the weights of the layers that were trained, and say where they are."""
    if tuned is None:
        return {}
    tuned.save(path)
    return {"tuned": str(path), "tuned_after": tuned.start}


def _custom(head: Head) -> dict[str, Any]:
    """Say where a custom head is; empty for a chain."""
    if not isinstance(head.pooling, CustomPooling):
        return {}
    return {"custom": str(head.pooling.bound.folder), "place": head.pooling.origin.place}
