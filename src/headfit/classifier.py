"""The finished classifier: files or arrays in, classes and probabilities out."""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headfit import files
from headfit.backbones import graph_cache
from headfit.backbones.engine import EngineInfo, OpenVINOEngine, Tagged, default_backend
from headfit.backbones.probe import probe_images
from headfit.errors import EngineError, ImageError, ModelFileError, UsageError
from headfit.images.contract import Contract
from headfit.images.decode import decode, read_bytes
from headfit.model_file import ModelRecord
from headfit.processors import usable_cores

AGREEMENT = 1e-3
WRITER = "headfit.loading:write_graph"
PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Prediction:
    """What the classifier says of one file.

    Attributes:
        path: the file, as it was named.
        probabilities: float64 (K,); None if the file cannot be read.
        error: why it cannot be read; empty if it can.
    """

    path: str
    probabilities: np.ndarray | None
    error: str = ""


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
        self._engine: OpenVINOEngine | _KerasModel | None = None

    @classmethod
    def load(cls, path: PathLike) -> Classifier:
        """Load a saved classifier; the same as ``Classifier(path)``."""
        return cls(path)

    @property
    def model(self) -> Any:
        """The Keras model, loaded in safe mode on your Keras backend: pixels to probabilities."""
        return _KerasModel.load(self.path)

    def predict_proba(self, images: np.ndarray | Iterable[PathLike]) -> np.ndarray:
        """Give the probability of each class.

        Args:
            images: RGB pixels 0–255, (n, height, width, 3) of the contract's size; or paths of
                image files of any size.

        Returns:
            float64 (n, K), rows summing to 1.

        Raises:
            ImageError: if a file cannot be read; names it.
            UsageError: if an array has another shape.
        """
        if isinstance(images, np.ndarray):
            return self._run_array(images)
        predictions = list(self.iter_predictions(images))
        for prediction in predictions:
            if prediction.probabilities is None:
                raise ImageError(f"'{prediction.path}' cannot be read: {prediction.error}.")
        found = [p.probabilities for p in predictions if p.probabilities is not None]
        return np.stack(found) if found else np.empty((0, len(self.classes)))

    def predict(self, images: np.ndarray | Iterable[PathLike]) -> list[str]:
        """Give the most probable class of each image; see :meth:`predict_proba`."""
        return [self.classes[best] for best in self.predict_proba(images).argmax(axis=1)]

    def iter_predictions(self, paths: Iterable[PathLike]) -> Iterator[Prediction]:
        """Predict files in order; one that cannot be read is reported and does not stop the rest.

        Reading and decoding run ahead in threads, a bounded number of images at a time.
        """
        waiting: dict[int, Prediction] = {}
        names: dict[int, str] = {}
        given = 0
        for number, result in self._open().run(self._decoded(paths, names, waiting)):
            waiting[number] = Prediction(names.pop(number), result[0].astype(np.float64))
            while given in waiting:
                yield waiting.pop(given)
                given += 1
        while given in waiting:
            yield waiting.pop(given)
            given += 1

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

    def _decoded(
        self, paths: Iterable[PathLike], names: dict[int, str], failed: dict[int, Prediction]
    ) -> Iterator[Tagged]:
        workers = max(2, usable_cores())
        ahead: deque[tuple[int, Future[np.ndarray]]] = deque()
        source = enumerate(paths)
        with ThreadPoolExecutor(workers, "headfit-decode") as pool:
            while True:
                while len(ahead) < 16 and (item := next(source, None)) is not None:
                    names[item[0]] = os.fspath(item[1])
                    ahead.append((item[0], pool.submit(self._decode, item[1])))
                if not ahead:
                    return
                number, future = ahead.popleft()
                try:
                    yield number, future.result()[None]
                except ImageError as error:
                    failed[number] = Prediction(names.pop(number), None, str(error))

    def _decode(self, path: PathLike) -> np.ndarray:
        return decode(read_bytes(path), self.contract.height, self.contract.width)

    def _run_array(self, images: np.ndarray) -> np.ndarray:
        expected = (self.contract.height, self.contract.width, 3)
        if images.ndim != 4 or images.shape[1:] != expected:
            raise UsageError(f"images have shape {images.shape}; expected (n, *{expected}).")
        if images.dtype != np.uint8:
            # the graph takes whole grey levels; fractions would be cut off silently
            return np.asarray(_KerasModel(self.path).predict(images), np.float64)
        result = np.empty((len(images), len(self.classes)))
        for number, found in self._open().run((i, image[None]) for i, image in enumerate(images)):
            result[number] = found[0]
        return result

    def _open(self) -> OpenVINOEngine | _KerasModel:
        if self._engine is None:
            self._engine = self._open_engine()
        return self._engine

    def _open_engine(self) -> OpenVINOEngine | _KerasModel:
        """Run the graph if it gives what the file says it must, else Keras itself."""
        try:
            graph = graph_cache.file_graph(self.path, self.contract, WRITER, self._tell)
            info = EngineInfo("openvino", (1, 1, len(self.classes)), 0, "", 1.0)
            engine = OpenVINOEngine(graph.path, info)
            self._check(engine)
            return engine
        except EngineError as error:
            self._tell(f"OpenVINO cannot run this model here ({error}); Keras runs it, slower.")
            keras_model = _KerasModel(self.path)
            self._check(keras_model)
            return keras_model

    def _check(self, engine: OpenVINOEngine | _KerasModel) -> None:
        images = probe_images(self.contract.height, self.contract.width)
        found = dict(engine.run((i, image[None]) for i, image in enumerate(images)))
        for number, expected in enumerate(self.record.probe):
            difference = float(np.abs(found[number][0] - np.array(expected)).max())
            if not difference <= AGREEMENT:
                raise EngineError(
                    f"its probabilities differ by {difference:.2g} from those noted in the file"
                )


class _KerasModel:
    """The model on Keras itself, with the interface of an engine."""

    def __init__(self, path: Path) -> None:
        self._model = self.load(path)

    @staticmethod
    def load(path: Path) -> Any:
        os.environ["KERAS_BACKEND"] = default_backend()
        from headfit.loading import load_model  # noqa: PLC0415  (imports Keras)

        try:
            return load_model(str(path))
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ModelFileError(f"Keras cannot load '{path}': {reason}") from error

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Probabilities, float32 (n, K), of RGB pixels 0–255."""
        found: np.ndarray = np.asarray(self._model.predict_on_batch(images.astype(np.float32)))
        return found

    def run(self, batches: Iterable[Tagged]) -> Iterator[Tagged]:
        """See ``Engine.run``."""
        for tag, images in batches:
            yield tag, self.predict(images)


def _keep(_: Any) -> None:
    return None
