"""The finished model: files or arrays in; classes, labels or numbers out."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from headfit.errors import ImageError, UsageError
from headfit.explain.explainer import Explainer
from headfit.images.contract import Contract
from headfit.images.inputs import listed
from headfit.images.read_ahead import ImageLike, PathLike
from headfit.images.targets import CLASS, LABELS, NOUNS
from headfit.model.maps import SavedMapModel
from headfit.model.metadata import ModelRecord
from headfit.model.prediction import Prediction, class_sets, describe, scale_labels
from headfit.model.prediction_file import PredictionFile, Written
from headfit.model.prediction_formats import format_of
from headfit.model.questions import check_question, decided, reliability_in
from headfit.model.runner import Runner, Tell, keras_network
from headfit.model.saved_network import Images, SavedNetwork
from headfit.model.stream import iter_outputs
from headfit.progress import Callback, CallbackList
from headfit.study.reliability.calibration import scale
from headfit.study.reliability.model_reliability import (
    LabelReliability,
    ModelReliability,
    NumberReliability,
    Reliabilities,
)
from headfit.util import files, html
from headfit.util.nouns import counted


class Classifier:
    """A backbone with the head that was chosen for it, as saved in a ``model.keras``.

    It predicts one class, several labels or numbers for each image: its ``kind``.

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
        classes_: names of the classes, labels or numbers, str (K,), in the order of the outputs.
        classes: the same as a tuple.
        kind: what is predicted: ``"class"``, ``"labels"`` or ``"number"``.
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
        self.kind: str = self.record.kind
        self.contract: Contract = self.record.contract
        self._tell = tell
        self._network = SavedNetwork(self.path, self.record, tell)

    @classmethod
    def load(cls, path: PathLike) -> Classifier:
        """Load a saved model; the same as ``Classifier(path)``."""
        return cls(path)

    @property
    def model(self) -> Any:
        """The Keras model, loaded in safe mode on your Keras backend: pixels to outputs."""
        return keras_network(self.path).model

    @property
    def runner(self) -> Runner:
        """What runs the network; it gives what :meth:`outputs` does, (n, K), and channel means."""
        return self._network.runner

    @cached_property
    def explainer(self) -> Explainer:
        """What :meth:`explain` asks; it also gives logits, biases and how exact a map is.

        Raises:
            ModelFileError: if the head has no positions.
        """
        return Explainer(SavedMapModel(self.path, self.record, self._tell))

    def predict(self, images: Images) -> np.ndarray:
        """Predict the class, the labels or the numbers of each image.

        Args:
            images: see :class:`Classifier`.

        Returns:
            Of classes their names, str (n,). Of labels those of each image, most probable first, an
            object array (n,) of tuples of str: the labels whose probability is at least the
            threshold that was chosen in cross-validation. Of numbers float64 (n, K), in their own
            units.

        Raises:
            ImageError: if an image cannot be read; names it. :meth:`iter_predictions` goes on.
            UsageError: if an array has another shape.
        """
        return decided(self.outputs(images), self.record)

    def outputs(self, images: Images) -> np.ndarray:
        """Give what plain Keras gives for the model: probabilities, or numbers in their own units.

        Args:
            images: see :class:`Classifier`.

        Returns:
            float64 (n, K).

        Raises:
            ImageError: if an image cannot be read; names it.
            UsageError: if an array has another shape.
        """
        return self._network.predict(images)

    def predict_proba(self, images: Images, *, calibrated: bool = False) -> np.ndarray:
        """Predict the probability of each class or label.

        Args:
            images: see :class:`Classifier`.
            calibrated: apply temperature scaling, so that about eight in ten of the predictions
                with probability 0.8 are right. The order of the classes stays; each label has a
                temperature of its own.

        Returns:
            float64 (n, K); rows of classes sum to 1.

        Raises:
            ImageError: if an image cannot be read; names it.
            UsageError: if an array has another shape, or the model predicts numbers.
            ModelFileError: if ``calibrated``, and the model file holds no temperature.
        """
        check_question("predict_proba", self.path, self.record)
        if not calibrated:
            return self.outputs(images)
        reliability = self._reliability
        if isinstance(reliability, LabelReliability):
            return scale_labels(self.outputs(images), reliability.temperatures)
        assert isinstance(reliability, ModelReliability)
        return scale(self.outputs(images), reliability.temperature)

    def predict_set(self, images: Images) -> list[list[str]]:
        """Predict sets of classes that contain the true one for about nine images in ten.

        A set has one class where the model is sure and several where it is not, the most probable
        first. How often the true class was in the set in cross-validation is in ``results.json``;
        see :mod:`headfit.study.reliability.conformal` for what to expect.

        Args:
            images: see :class:`Classifier`.

        Raises:
            UsageError: if the model predicts labels or numbers.
            ModelFileError: if the model file holds no threshold.
        """
        check_question("predict_set", self.path, self.record)
        reliability = self._reliability
        assert isinstance(reliability, ModelReliability)
        return class_sets(self.outputs(images), self.classes, reliability)

    def predict_interval(self, images: Images) -> tuple[np.ndarray, np.ndarray]:
        """Predict intervals that contain the true number for about nine images in ten.

        Their width is the same for all images. How often the true number was within in
        cross-validation is in ``results.json``, and for which share of images they are meant.

        Args:
            images: see :class:`Classifier`.

        Returns:
            Lower and upper ends, each float64 (n, K), in the numbers' own units; infinite where the
            training images were too few for an interval.

        Raises:
            UsageError: if the model predicts classes or labels.
            ModelFileError: if the model file holds no intervals.

        Example:

        ```python
        low, high = hf.Classifier.load("headfit-run/model.keras").predict_interval("new.jpg")
        ```
        """
        check_question("predict_interval", self.path, self.record)
        reliability = self._reliability
        assert isinstance(reliability, NumberReliability)
        values, half_widths = self.outputs(images), reliability.half_widths
        return values - half_widths, values + half_widths

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
        return detector.scores(self._network.means(images))

    def explain(self, images: Images, class_: str | None = None) -> np.ndarray:
        """Compute what each position of the feature map adds to a logit, or to a number.

        Where the head is linear after pooling, the sum over the positions and the bias of the class
        are its logit, or the number itself; elsewhere the map is HiResCAM's. See
        :mod:`headfit.explain`.

        Args:
            images: see :class:`Classifier`.
            class_: name of the class, label or number; if None the most probable one of each
                image, of numbers the first.

        Returns:
            float32 (n, H, W), in logits, or in the number's own units; negative where a position
            lowers the logit or the number.

        Raises:
            UnknownNameError: if there is no such name.
            ImageError: if an image cannot be read; names it.
            UsageError: if an array has another shape.
            ModelFileError: if the head has no positions.
        """
        explainer = self.explainer
        target = None if class_ is None else explainer.target(class_)
        maps = [
            each.map
            for pixels in self._network.pixel_chunks(images)
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
        for path, row in iter_outputs(listed(images), self.runner, self.contract):
            if isinstance(row, ImageError):
                yield Prediction(path, None, str(row))
            else:
                yield describe(path, row, self.record)

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
            top: number of classes or labels in each line of a ``.jsonl`` file.
            callbacks: follow the progress.

        Raises:
            UsageError: if the file is of other images, of another model or of unknown origin.
            WriteError: if it cannot be written.
        """
        form = format_of(Path(out), self.classes, top, self.kind)
        file = PredictionFile(Path(out), self.path, form)
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
        count = counted(len(self.classes), *NOUNS[self.kind])
        return f"<Classifier {self.record.backbone} + {head}: {count}, {size}>"

    def _repr_html_(self) -> str:
        more = {CLASS: "predict_proba, predict_set", LABELS: "predict_proba"}
        use = (
            f"predict, {more.get(self.kind, 'predict_interval')}, outlier_scores and explain take "
            f"paths of image files, Pillow images or arrays; model is the Keras model, and "
            f"save(path) copies its file."
        )
        return self.record.to_html("Classifier") + html.paragraph(use)

    @property
    def _reliability(self) -> Reliabilities:
        return reliability_in(self.path, self.record)

    def _copy(self, target: Path) -> None:
        shutil.copyfile(self.path, target)
