"""The network of a saved model: images in, predictions and channel means out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from headfit.errors import ImageError, ModelFileError
from headfit.images.contract import Contract
from headfit.images.inputs import check_array, listed, name_of
from headfit.images.read_ahead import ImageLike, decode_images
from headfit.model.metadata import ModelRecord
from headfit.model.runner import (
    PREDICTIONS,
    WITH_MEANS,
    Runner,
    Tell,
    check_outputs,
    keras_network,
    saved_graph,
    unscaled,
)
from headfit.model.stream import iter_outputs

AT_ONCE = 256  # images that are explained together
Images = np.ndarray | ImageLike | Iterable[ImageLike]


class SavedNetwork:
    """A model file that takes files, Pillow images or arrays; see :class:`Classifier`.

    Args:
        path: the file.
        record: its metadata.
        tell: called with a line of text when something takes long or falls back.

    Attributes:
        runner: what runs it.
    """

    def __init__(self, path: Path, record: ModelRecord, tell: Tell) -> None:
        self._path, self._record, self._tell = path, record, tell
        self._contract: Contract = record.contract
        self._count = len(record.classes)
        self.runner = Runner(
            unscaled(record.contract), self._graph, self._keras, check=self._check, tell=tell
        )

    def predict(self, images: Images) -> np.ndarray:
        """Give the predictions, float64 (n, K).

        Raises:
            ImageError: if an image cannot be read; names it.
            UsageError: if an array has another shape.
        """
        return self._run(images)[:, : self._count]

    def means(self, images: Images) -> np.ndarray:
        """Give the channel means, float64 (n, C), of a model that carries reliability."""
        return self._run(images)[:, self._count :]

    def pixel_chunks(self, images: Images) -> Iterator[np.ndarray]:
        """Decode images, many at a time.

        Raises:
            ImageError: if an image cannot be read; names it.
            UsageError: if an array has another shape.
        """
        if isinstance(images, np.ndarray):
            yield check_array(images, self._contract)
            return
        decoded = enumerate(decode_images(listed(images), self._contract), 1)
        while chunk := list(islice(decoded, AT_ONCE)):
            for number, (image, pixels) in chunk:
                if isinstance(pixels, ImageError):
                    raise ImageError(f"'{name_of(image, number)}' cannot be read: {pixels}.")
            yield np.stack([pixels for _, (_, pixels) in chunk if isinstance(pixels, np.ndarray)])

    def _run(self, images: Images) -> np.ndarray:
        """Give the outputs of the network, float64 (n, K + C): predictions and channel means."""
        if isinstance(images, np.ndarray):
            images = check_array(images, self._contract)
            if not len(images):
                return np.empty((0, self._width))
            return self.runner.predict(images).astype(np.float64)
        rows = []
        for path, row in iter_outputs(listed(images), self.runner, self._contract):
            if isinstance(row, ImageError):
                raise ImageError(f"'{path}' cannot be read: {row}.")
            rows.append(row)
        return np.array(rows, np.float64).reshape(len(rows), -1 if rows else self._width)

    @property
    def _width(self) -> int:
        """K + C as far as the file says it: enough for no images."""
        reliability = self._record.reliability
        return self._count + (reliability.detector.channels if reliability else 0)

    def _graph(self) -> Path:
        return saved_graph(self._path, self._contract, self._outputs, self._tell).path

    def _keras(self) -> Any:
        return keras_network(self._path, self._outputs).model

    @property
    def _outputs(self) -> str:
        """What the network has to give: channel means only for the outlier score."""
        return WITH_MEANS if self._record.reliability else PREDICTIONS

    def _check(self, outputs: np.ndarray) -> None:
        record, reliability = self._record, self._record.reliability
        channels = outputs.shape[1] - self._count
        if reliability and reliability.detector.channels != channels:
            raise ModelFileError(
                f"'{self._path}' is damaged: its outlier detector takes "
                f"{reliability.detector.channels} channels, but its backbone gives {channels}."
            )
        check_outputs(outputs[:, : self._count], np.array(record.probe), record.spread)
