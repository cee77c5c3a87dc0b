"""The finished classifier: files or arrays in, classes and probabilities out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from headfit.backbones.engines.engine import EngineInfo, OpenVINOEngine, Tagged
from headfit.backbones.engines.probe import probe_images
from headfit.backbones.graphs import cache as graph_cache
from headfit.errors import EngineError, ImageError, ModelFileError, UsageError
from headfit.images.contract import Contract
from headfit.images.read_ahead import PathLike, decode_chunks, decode_files
from headfit.model import keras_runner as keras_model
from headfit.model.keras_runner import KerasModel
from headfit.model.metadata import ModelRecord
from headfit.model.prediction import Prediction, class_sets, describe
from headfit.study.reliability.model_reliability import ModelReliability
from headfit.study.reliability.temperature import scale
from headfit.util import files
from headfit.util import html as display

AGREEMENT = 1e-3
SHOWN = 20  # names of classes in a notebook
WRITER = "headfit.model.load_child:write_graph"
Images = np.ndarray | Iterable[PathLike]


class Classifier:
    """A backbone with the head that was chosen for it.

    Args:
        path: a ``model.keras`` that headfit wrote.
        tell: called with a line of text when something takes long or falls back.

    Attributes:
        classes: names of the classes, in the order of the probabilities.
        contract: how a file becomes pixels.
        record: all that the file says of itself.

    Raises:
        UsageError: if the file does not exist.
        ModelFileError: if it is not such a model.
    """

    def __init__(self, path: PathLike, tell: Callable[[str], None] = lambda _: None) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise UsageError(f"'{path}' is not a file; expected a model.keras that headfit wrote.")
        self.record = ModelRecord.read(self.path)
        self.classes: tuple[str, ...] = self.record.classes
        self.contract: Contract = self.record.contract
        self._tell = tell

    @classmethod
    def load(cls, path: PathLike) -> Classifier:
        """Load a saved classifier; the same as ``Classifier(path)``."""
        return cls(path)

    @property
    def model(self) -> Any:
        """The Keras model, loaded in safe mode on your Keras backend: pixels to probabilities."""
        return keras_model.load(self.path)

    def predict_proba(self, images: Images, *, calibrated: bool = False) -> np.ndarray:
        """Give the probability of each class.

        Args:
            images: RGB pixels 0–255, (n, height, width, 3) of the contract's size; or paths of
                image files of any size.
            calibrated: after temperature scaling, so that of the images given 0.8 about eight in
                ten are right; the most probable class stays the same.

        Returns:
            float64 (n, K), rows summing to 1.

        Raises:
            ImageError: if a file cannot be read; names it.
            UsageError: if an array has another shape.
            ModelFileError: if ``calibrated``, and the model file holds no temperature.
        """
        temperature = self._reliability.temperature if calibrated else None
        p = self._run(images)[:, : len(self.classes)]
        return p if temperature is None else scale(p, temperature)

    def predict(self, images: Images) -> list[str]:
        """Give the most probable class of each image; see :meth:`predict_proba`."""
        return [self.classes[best] for best in self.predict_proba(images).argmax(axis=1)]

    def predict_set(self, images: Images) -> list[list[str]]:
        """Give the classes that hold the true one for about nine images in ten.

        One class where the model is sure, several where it is not: the most probable first. How
        often the true class was among them in cross-validation is in ``results.json``; see
        :mod:`headfit.study.reliability.conformal` for what may be expected of it.

        Args:
            images: as for :meth:`predict_proba`.

        Raises:
            ModelFileError: if the model file holds no threshold.
        """
        reliability = self._reliability
        return class_sets(self.predict_proba(images), self.classes, reliability)

    def outlier_scores(self, images: Images) -> np.ndarray:
        """Tell how unlike the training images each image is; above 1 it is an outlier.

        Of images like those of the training one in twenty lies above 1.

        Args:
            images: as for :meth:`predict_proba`.

        Returns:
            float64 (n,), from 0; see :mod:`headfit.study.reliability.outliers`.

        Raises:
            ModelFileError: if the model file holds no detector.
        """
        detector = self._reliability.detector
        return detector.scores(self._run(images)[:, len(self.classes) :])

    def explain(self, images: Images, class_: str | None = None) -> np.ndarray:
        """Say what each position of the feature map adds to the logit of a class.

        The sum over the positions and the bias of the class are its logit wherever the head is
        linear after pooling; otherwise it is HiResCAM's. See :mod:`headfit.explain`.

        Args:
            images: as for :meth:`predict_proba`.
            class_: name of the class; each image's most probable one if None.

        Returns:
            float32 (n, H, W), in logits; negative where a position speaks against the class.

        Raises:
            UnknownNameError: if there is no such class.
            ImageError: if a file cannot be read; names it.
            UsageError: if an array has another shape.
            ModelFileError: if the head has no positions.
        """
        explainer = self._explainer
        target = None if class_ is None else explainer.target(class_)
        maps = [
            one.map
            for pixels in self._pixel_chunks(images)
            for one in explainer.explain(pixels, target)
        ]
        return np.stack(maps) if maps else np.empty((0, *explainer.map_shape[:2]), np.float32)

    def iter_predictions(self, paths: Iterable[PathLike]) -> Iterator[Prediction]:
        """Predict files in order; one that cannot be read is reported and does not stop the rest.

        Reading and decoding run ahead in threads, a bounded number of images at a time.
        """
        for path, row in self._iter_rows(paths):
            if isinstance(row, ImageError):
                yield Prediction(path, None, str(row))
            else:
                yield describe(path, row, self.classes, self.record.reliability)

    def save(self, path: PathLike) -> Path:
        """Copy the model file, whole or not at all; plain Keras can load it.

        Raises:
            UsageError: if the name does not end in ``.keras``.
            WriteError: if it cannot be written.
        """
        target = Path(path)
        if target.suffix != ".keras":
            raise UsageError(f"'{path}' must end in .keras, the format that is saved.")
        files.write_file(target, lambda temporary: _keep(shutil.copyfile(self.path, temporary)))
        return target

    def __repr__(self) -> str:
        record = self.record
        return (
            f"<Classifier {record.backbone} + {record.head}: {len(self.classes)} classes, "
            f"{self.contract.height}×{self.contract.width} px>"
        )

    def _repr_html_(self) -> str:
        record, sure = self.record, self.record.reliability
        listed = ", ".join(self.classes[:SHOWN])
        more = len(self.classes) - SHOWN
        rows = [
            ("backbone", record.backbone),
            ("head", record.head),
            ("input", f"{self.contract.height} × {self.contract.width} px, RGB 0–255"),
            (f"{len(self.classes)} classes", f"{listed} and {more} more" if more > 0 else listed),
            ("temperature", f"{sure.temperature:.2f}" if sure else "not in the file"),
            ("written by", f"headfit {record.version}"),
        ]
        use = (
            "predict, predict_proba, predict_set, outlier_scores and explain take paths of image "
            "files; model is the Keras model, and save(path) copies its file."
        )
        return display.table((), rows, "Classifier", numbers=False) + display.paragraph(use)

    @property
    def _reliability(self) -> ModelReliability:
        if self.record.reliability is None:
            raise ModelFileError(
                f"'{self.path}' holds neither temperature nor thresholds: it was written without "
                f"them. Compare anew with this headfit, and use the model.keras of that run."
            )
        return self.record.reliability

    def _run(self, images: Images) -> np.ndarray:
        """Give what the network gives, float64 (n, K + C): probabilities and channel means."""
        if isinstance(images, np.ndarray):
            return self._run_array(images)
        rows = []
        for path, row in self._iter_rows(images):
            if isinstance(row, ImageError):
                raise ImageError(f"'{path}' cannot be read: {row}.")
            rows.append(row)
        return np.array(rows, np.float64).reshape(len(rows), -1 if rows else self._width)

    def _run_array(self, images: np.ndarray) -> np.ndarray:
        expected = (self.contract.height, self.contract.width, 3)
        if images.ndim != 4 or images.shape[1:] != expected:
            raise UsageError(f"images have shape {images.shape}; expected (n, *{expected}).")
        if not len(images):
            return np.empty((0, self._width))
        if images.dtype != np.uint8:
            # the graph takes whole grey levels; fractions would be cut off silently
            return self._keras.predict(images).astype(np.float64)
        tagged = ((i, image[None]) for i, image in enumerate(images))
        found = dict(self._engine.run(tagged))
        return np.concatenate([found[i] for i in range(len(images))]).astype(np.float64)

    @property
    def _width(self) -> int:
        """What can be said of K + C without running the network: enough for no images."""
        reliability = self.record.reliability
        return len(self.classes) + (reliability.detector.channels if reliability else 0)

    def _iter_rows(
        self, paths: Iterable[PathLike]
    ) -> Iterator[tuple[str, np.ndarray | ImageError]]:
        """Yield each path with what the network gives, float32 (K + C,), or why it cannot."""
        waiting: dict[int, tuple[str, np.ndarray | ImageError]] = {}
        names: dict[int, str] = {}
        given = 0
        for number, result in self._engine.run(self._decoded(paths, names, waiting)):
            waiting[number] = names.pop(number), result[0]
            while given in waiting:
                yield waiting.pop(given)
                given += 1
        while given in waiting:
            yield waiting.pop(given)
            given += 1

    def _decoded(
        self,
        paths: Iterable[PathLike],
        names: dict[int, str],
        failed: dict[int, tuple[str, np.ndarray | ImageError]],
    ) -> Iterator[Tagged]:
        for number, (path, pixels) in enumerate(decode_files(paths, self.contract)):
            names[number] = os.fspath(path)
            if isinstance(pixels, ImageError):
                failed[number] = names.pop(number), pixels
            else:
                yield number, pixels[None]

    def _pixel_chunks(self, images: Images) -> Iterator[np.ndarray]:
        if isinstance(images, np.ndarray):
            yield images
            return
        for chunk in decode_chunks(images, self.contract, 256):
            for path, pixels in chunk:
                if isinstance(pixels, ImageError):
                    raise ImageError(f"'{os.fspath(path)}' cannot be read: {pixels}.")
            yield np.stack([pixels for _, pixels in chunk if isinstance(pixels, np.ndarray)])

    @cached_property
    def _explainer(self) -> Any:
        from headfit.explain.explainer import Explainer  # noqa: PLC0415  (only if asked for)

        return Explainer(self.path, self._tell)

    @cached_property
    def _keras(self) -> KerasModel:
        return KerasModel(self.path)

    @cached_property
    def _engine(self) -> OpenVINOEngine | KerasModel:
        """Run the graph if it gives what the file says it must, else Keras itself."""
        try:
            graph = graph_cache.file_graph(self.path, self.contract, WRITER, self._tell)
            info = EngineInfo("openvino", (1, 1, len(self.classes)), 0, "", 1.0)
            engine = OpenVINOEngine(graph.path, info)
            self._check(engine)
            return engine
        except EngineError as error:
            self._tell(f"OpenVINO cannot run this model here ({error}); Keras runs it, slower.")
            self._check(self._keras)
            return self._keras

    def _check(self, engine: OpenVINOEngine | KerasModel) -> None:
        images = probe_images(self.contract.height, self.contract.width)
        found = dict(engine.run((i, image[None]) for i, image in enumerate(images)))
        classes, reliability = len(self.classes), self.record.reliability
        if reliability and found[0].shape[1] != classes + reliability.detector.channels:
            raise ModelFileError(
                f"'{self.path}': its outlier detector is of {reliability.detector.channels} "
                f"channels, its backbone gives {found[0].shape[1] - classes}."
            )
        for number, expected in enumerate(self.record.probe):
            difference = float(np.abs(found[number][0, :classes] - np.array(expected)).max())
            if not difference <= AGREEMENT:
                raise EngineError(
                    f"its probabilities differ by {difference:.2g} from those noted in the file"
                )


def _keep(_: Any) -> None:
    return None
