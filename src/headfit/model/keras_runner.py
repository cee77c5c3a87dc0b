"""A saved classifier on Keras itself: where OpenVINO cannot run it, and where its graph may not.

Importing this imports nothing heavy; loading a model imports Keras.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from headfit.backbones.engines.engine import Tagged, default_backend
from headfit.errors import ModelFileError


def load(path: Path) -> Any:
    """Load a model in safe mode on the user's Keras backend.

    Raises:
        ModelFileError: if Keras cannot load it.
    """
    os.environ["KERAS_BACKEND"] = default_backend()
    from headfit.model.load_child import load_model  # noqa: PLC0415  (imports Keras)

    try:
        return load_model(str(path))
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelFileError(f"Keras cannot load '{path}': {reason}") from error


class KerasModel:
    """A saved classifier with the interface of an engine, and the same two answers as its graph.

    Args:
        path: the model file.

    Raises:
        ModelFileError: if Keras cannot load it.
        EngineError: if no backbone is in it.
    """

    def __init__(self, path: Path) -> None:
        model = load(path)
        from headfit.model.load_child import with_channel_means  # noqa: PLC0415  (imports Keras)

        self._model = with_channel_means(model)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Probabilities and channel means, float32 (n, K + C), of RGB pixels 0–255."""
        found: np.ndarray = np.asarray(self._model.predict_on_batch(images.astype(np.float32)))
        return found

    def run(self, batches: Iterable[Tagged]) -> Iterator[Tagged]:
        """See ``Engine.run``."""
        for tag, images in batches:
            yield tag, self.predict(images)
