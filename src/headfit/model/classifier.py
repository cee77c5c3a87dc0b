"""The finished classifier: files or arrays in, classes and probabilities out."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from headfit.errors import ImageError, ModelFileError, UsageError
from headfit.explain.explainer import Explainer
from headfit.images.contract import Contract
from headfit.images.inputs import check_array, listed, name_of
from headfit.images.read_ahead import ImageLike, PathLike, decode_images
from headfit.model.maps import SavedMapModel
from headfit.model.metadata import ModelRecord
from headfit.model.prediction import Prediction, class_sets, describe
from headfit.model.prediction_file import PredictionFile, Written
from headfit.model.prediction_formats import format_of
from headfit.model.runner import (
    PROBABILITIES,
    WITH_MEANS,
    Runner,
    Tell,
    check_outputs,
    keras_network,
    saved_graph,
    unscaled,
)
from headfit.model.stream import iter_outputs
from headfit.progress import Callback, CallbackList
from headfit.study.reliability.calibration import scale
from headfit.study.reliability.model_reliability import ModelReliability
from headfit.util import files, html

AT_ONCE = 256  # images that are explained together
Images = np.ndarray | ImageLike | Iterable[ImageLike]


class Classifier:
    """A backbone with the head that was chosen for it, as saved in a ``model.keras``.

    Wherever a method takes ``images``, these may be

    - the path of an image file, a Pillow image, or several of either, of any size;
    - the path of a table (``.csv``, ``.tsv``, ``.jsonl``, ``.parquet``) with a column of paths,
      relative to its folder;
    - an array of RGB pixels from 0 to 255, (n, height, width, 3) or (height, width, 3), of the size
      that the network takes (``classifier.contract``).

    Args:
        path: a ``model.keras`` that headfit wrote.
        tell: called with a line of text when something takes long or falls back.

    Attributes:
        classes_: names of the classes, str (K,), in the order of the probabilities.
        classes: the same as a tuple.
        contract: how a file becomes pixels.
        record: the metadata of the file.

    Raises:
        UsageError: if the file does not exist.
        ModelFileError: if headfit did not write it.

    Example:

    ```python
    classifier = hf.Classifier.load("headfit-run/model.keras")
    classifier.predict("new.jpg")  # array(['cat'], dtype='<U3')
    ```
    """

    def __init__(self, path: PathLike, tell: Tell = lambda _: None) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise UsageError(f"'{path}' is not a file. Expected a model.keras that headfit wrote.")
        self.record = ModelRecord.read(self.path)
        self.classes: tuple[str, ...] = self.record.classes
        self.classes_: np.ndarray = np.array(self.classes)
        self.contract: Contract = self.record.contract
        self._tell = tell
        self._runner = Runner(
            unscaled(self.contract), self._graph, self._keras, check=self._check, tell=tell
        )

    @classmethod
    def load(cls, path: PathLike) -> Classifier:
        """Load a saved classifier; the same as ``Classifier(path)``."""
        return cls(path)

    @property
    def model(self) -> Any:
        """The Keras model, loaded in safe mode on your Keras backend: pixels to probabilities."""
        return keras_network(self.path).model

    @property
    def runner(self) -> Runner:
        """What runs the network; its outputs are probabilities, (n, K), and channel means."""
        return self._runner

    @cached_property
    def explainer(self) -> Explainer:
        """What :meth:`explain` asks; it also gives logits, biases and how exact a map is.

        Raises:
            ModelFileError: if the head has no positions.
        """
        return Explainer(SavedMapModel(self.path, self.record, self._tell))

    def predict(self, images: Images) -> np.ndarray:
        """Predict the most probable class of each image.

        Args:
            images: see :class:`Classifier`.

        Returns:
            Class names, str (n,).

        Raises:
            ImageError: if an image cannot be read; names it. :meth:`iter_predictions` goes on.
            UsageError: if an array has another shape.
        """
        names: np.ndarray = self.classes_[self.predict_proba(images).argmax(axis=1)]
        return names

    def predict_proba(self, images: Images, *, calibrated: bool = False) -> np.ndarray:
        """Predict the probability of each class.

        Args:
            images: see :class:`Classifier`.
            calibrated: apply temperature scaling, so that about eight in ten of the predictions
                with probability 0.8 are right. The most probable class stays the same.

        Returns:
            float64 (n, K), rows summing to 1.

        Raises:
            ImageError: if an image cannot be read; names it.
            UsageError: if an array has another shape.
            ModelFileError: if ``calibrated``, and the model file holds no temperature.
        """
        temperature = self._reliability.temperature if calibrated else None
        p = self._run(images)[:, : len(self.classes)]
        return p if temperature is None else scale(p, temperature)

    def predict_set(self, images: Images) -> list[list[str]]:
        """Predict sets of classes that contain the true one for about nine images in ten.

        A set has one class where the model is sure and several where it is not, the most probable
        first. How often the true class was in the set in cross-validation is in ``results.json``;
        see :mod:`headfit.study.reliability.conformal` for what to expect.

        Args:
            images: see :class:`Classifier`.

        Raises:
            ModelFileError: if the model file holds no threshold.
        """
        reliability = self._reliability
        return class_sets(self.predict_proba(images), self.classes, reliability)

    def outlier_scores(self, images: Images) -> np.ndarray:
        """Measure how unlike the training images each image is; above 1 it is an outlier.

        One in twenty images of the same kind as the training images lies above 1.

        Args:
            images: see :class:`Classifier`.

        Returns:
            float64 (n,), from 0; see :mod:`headfit.study.reliability.outliers`.

        Raises:
            ModelFileError: if the model file holds no detector.
        """
        detector = self._reliability.detector
        return detector.scores(self._run(images)[:, len(self.classes) :])

    def explain(self, images: Images, class_: str | None = None) -> np.ndarray:
        """Compute what each position of the feature map adds to the logit of a class.

        Where the head is linear after pooling, the sum over the positions and the bias of the class
        are its logit; elsewhere the map is HiResCAM's. See :mod:`headfit.explain`.

        Args:
            images: see :class:`Classifier`.
            class_: name of the class; the most probable one of each image if None.

        Returns:
            float32 (n, H, W), in logits; negative where a position lowers the logit of the class.

        Raises:
            UnknownNameError: if there is no such class.
            ImageError: if an image cannot be read; names it.
            UsageError: if an array has another shape.
            ModelFileError: if the head has no positions.
        """
        explainer = self.explainer
        target = None if class_ is None else explainer.target(class_)
        maps = [
            each.map
            for pixels in self._pixel_chunks(images)
            for each in explainer.explain(pixels, target)
        ]
        return np.stack(maps) if maps else np.empty((0, *explainer.map_shape[:2]), np.float32)

    def iter_predictions(self, images: ImageLike | Iterable[ImageLike]) -> Iterator[Prediction]:
        """Predict images one after the other, in order, and all that is known of each prediction.

        An image that cannot be read is reported in its place and does not stop the others. Files
        are read and decoded ahead in threads, a bounded number of them, so ``images`` may be a
        generator over any number of files.

        Args:
            images: paths of image files, Pillow images, or the path of a table of files; a row
                without a file is reported in its place, too.

        Yields:
            For each image a :class:`~headfit.model.prediction.Prediction`.
        """
        for path, row in iter_outputs(listed(images), self._runner, self.contract):
            if isinstance(row, ImageError):
                yield Prediction(path, None, str(row))
            else:
                yield describe(path, row, self.classes, self.record.reliability)

    def write_predictions(
        self,
        images: PathLike | Iterable[PathLike],
        out: PathLike,
        *,
        overwrite: bool = False,
        top: int = 3,
        callbacks: Callback | Iterable[Callback] | None = None,
    ) -> Written:
        """Write the predictions of any number of image files to a file as they come.

        If the process dies, the same call goes on after the rows that are safe on disk. The
        finished file is the same as without the interruption.

        Args:
            images: paths, in the same order in every call; may be a generator, or the path of a
                table of files.
            out: ends in ``.csv``, ``.jsonl`` or ``.parquet``.
            overwrite: begin again, whatever is there.
            top: number of classes in each line of a ``.jsonl`` file.
            callbacks: follow the progress.

        Raises:
            UsageError: if the file is of other images, of another model or of unknown origin.
            WriteError: if it cannot be written.
        """
        file = PredictionFile(Path(out), self.path, format_of(Path(out), self.classes, top))
        return file.write(listed(images), self.iter_predictions, CallbackList(callbacks), overwrite)

    def save(self, path: PathLike) -> Path:
        """Copy the model file, whole or not at all; plain Keras can load it.

        Raises:
            UsageError: if the name does not end in ``.keras``.
            WriteError: if it cannot be written.
        """
        target = Path(path)
        if target.suffix != ".keras":
            raise UsageError.invalid("path", str(path), "a file name that ends in .keras")
        files.write_file(target, self._copy)
        return target

    def __repr__(self) -> str:
        head, size = self.record.head, f"{self.contract.height}×{self.contract.width} px"
        return f"<Classifier {self.record.backbone} + {head}: {len(self.classes)} classes, {size}>"

    def _repr_html_(self) -> str:
        use = (
            "predict, predict_proba, predict_set, outlier_scores and explain take paths of image "
            "files, Pillow images or arrays; model is the Keras model, and save(path) copies its "
            "file."
        )
        return self.record.to_html("Classifier") + html.paragraph(use)

    @property
    def _reliability(self) -> ModelReliability:
        if self.record.reliability is None:
            raise ModelFileError(
                f"'{self.path}' contains neither temperature nor thresholds. Run the comparison "
                f"again with this version of headfit and use its model.keras."
            )
        return self.record.reliability

    def _run(self, images: Images) -> np.ndarray:
        """Give the outputs of the network, float64 (n, K + C): probabilities and channel means."""
        if isinstance(images, np.ndarray):
            images = check_array(images, self.contract)
            if not len(images):
                return np.empty((0, self._width))
            return self._runner.predict(images).astype(np.float64)
        rows = []
        for path, row in iter_outputs(listed(images), self._runner, self.contract):
            if isinstance(row, ImageError):
                raise ImageError(f"'{path}' cannot be read: {row}.")
            rows.append(row)
        return np.array(rows, np.float64).reshape(len(rows), -1 if rows else self._width)

    @property
    def _width(self) -> int:
        """K + C as far as the file says it: enough for no images."""
        reliability = self.record.reliability
        return len(self.classes) + (reliability.detector.channels if reliability else 0)

    def _pixel_chunks(self, images: Images) -> Iterator[np.ndarray]:
        if isinstance(images, np.ndarray):
            yield check_array(images, self.contract)
            return
        decoded = enumerate(decode_images(listed(images), self.contract), 1)
        while chunk := list(islice(decoded, AT_ONCE)):
            for number, (image, pixels) in chunk:
                if isinstance(pixels, ImageError):
                    raise ImageError(f"'{name_of(image, number)}' cannot be read: {pixels}.")
            yield np.stack([pixels for _, (_, pixels) in chunk if isinstance(pixels, np.ndarray)])

    def _graph(self) -> Path:
        return saved_graph(self.path, self.contract, self._outputs, self._tell).path

    def _keras(self) -> Any:
        return keras_network(self.path, self._outputs).model

    @property
    def _outputs(self) -> str:
        """What the network has to give: channel means only for the outlier score."""
        return WITH_MEANS if self.record.reliability else PROBABILITIES

    def _check(self, outputs: np.ndarray) -> None:
        classes, reliability = len(self.classes), self.record.reliability
        channels = outputs.shape[1] - classes
        if reliability and reliability.detector.channels != channels:
            raise ModelFileError(
                f"'{self.path}' is damaged: its outlier detector takes "
                f"{reliability.detector.channels} channels, but its backbone gives {channels}."
            )
        check_outputs(outputs[:, :classes], np.array(self.record.probe))

    def _copy(self, target: Path) -> None:
        shutil.copyfile(self.path, target)
