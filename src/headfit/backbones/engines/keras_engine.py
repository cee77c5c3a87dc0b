"""Keras itself, compiled, on the user's backend: the fallback, the reference, and the way to a GPU.

Importing this imports nothing heavy; making an engine imports Keras.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from itertools import islice
from math import prod
from typing import Any

import numpy as np

from headfit.backbones.catalog import BackboneSpec
from headfit.backbones.engines import gpu
from headfit.backbones.engines.interface import EngineInfo, Tagged
from headfit.errors import EngineError
from headfit.images.contract import Contract
from headfit.util import child

# larger ones are no faster on a CPU, and filling them up costs more
CPU_BATCH, GPU_BATCH = 8, 64


class KerasEngine:
    """A backbone on Keras.

    All batches have the same size, the last one padded with black images: so the network is
    compiled once, and the map of an image does not depend on the number of other images. A single
    image runs alone, compiled separately, so it does not wait for padding.

    Args:
        spec: the backbone.
        contract: its preprocessing.
        weights: ``"imagenet"``, ``"random"`` or a path.
        note: why this engine runs, if another was requested.
        device: the graphics processor that Keras will use; empty for none.
        cuts: where the backbone ends; with several, a result is all maps in one row (1, ΣHWC).

    Attributes:
        parts: facts about each cut.
    """

    def __init__(
        self,
        spec: BackboneSpec,
        contract: Contract,
        weights: str,
        note: str = "",
        device: str = "",
        cuts: Sequence[str] = ("",),
    ) -> None:
        child.switch_off_telemetry()
        backend = os.environ["KERAS_BACKEND"] = child.default_backend()
        try:
            from headfit.backbones import build, cut  # noqa: PLC0415  (imports Keras)
        except (ImportError, ValueError) as error:
            raise EngineError(
                f"Keras cannot run on the backend '{backend}': {error}. Install it, or unset "
                f"KERAS_BACKEND for JAX."
            ) from error
        if device:
            gpu.insist_on_float32(backend)
        self._contract = contract
        self._batch = GPU_BATCH if device else CPU_BATCH
        self._model = cut.build_cut(spec, contract.height, weights, cuts)
        self._alone = cut.parts(self._model)
        setting = {"batch": self._batch, "backend": backend}
        self.parts = []
        for model in self._alone:
            height, width, channels = (int(length) for length in model.output_shape[1:])
            count, digest = int(model.count_params()), build.weights_digest(model)
            shape, layers = (height, width, channels), cut.joined_layers(model)
            info = EngineInfo("keras", shape, count, digest, 1.0, note, device or "cpu")
            self.parts.append(replace(info, setting=setting, layers=layers))
        self.info = self.parts[0]
        if len(self.parts) > 1:
            values = sum(prod(part.map_shape) for part in self.parts)
            self.info = replace(self.info, map_shape=(1, 1, values))

    def only(self, number: int) -> KerasEngine:
        """Give the engine of one of several cuts."""
        engine = copy(self)
        engine._model, engine.info = self._alone[number], self.parts[number]
        engine._alone, engine.parts = [engine._model], [engine.info]
        return engine

    def run(self, batches: Iterable[Tagged]) -> Iterator[Tagged]:
        """See :class:`headfit.backbones.engines.interface.Engine`; in order, a batch at a time."""
        images = iter(batches)
        group = list(islice(images, self._batch))
        if len(group) == 1:
            ((tag, image),) = group
            yield tag, self._predict(image)
            return
        pixels = np.zeros((self._batch, self._contract.height, self._contract.width, 3), np.uint8)
        while group:
            for place, (_, image) in enumerate(group):
                pixels[place] = image[0]
            pixels[len(group) :] = 0
            maps = self._predict(pixels)
            for place, (tag, _) in enumerate(group):
                yield tag, maps[place : place + 1]
            group = list(islice(images, self._batch))

    def _predict(self, pixels: np.ndarray) -> np.ndarray:
        maps: Any = self._model.predict_on_batch(self._contract.apply(pixels))
        if not isinstance(maps, list):
            return np.asarray(maps, np.float32)
        return np.concatenate([np.reshape(each, (len(each), -1)) for each in maps], axis=1)
