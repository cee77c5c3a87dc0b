"""What of a backbone is trained, and the methods that train it."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from headfit.backbones.engines.interface import probe_images
from headfit.backbones.weights import RANDOM
from headfit.errors import DataError, EngineError, ImageError, UsageError
from headfit.features.extract import Extraction
from headfit.features.views import ViewMaps, Views
from headfit.finetuning.inputs import Inputs, Pixels, StoredMaps
from headfit.finetuning.method import FineTuning
from headfit.finetuning.recipe import Ints, Recipe
from headfit.finetuning.units import Units
from headfit.fitting.fitted import FittedHead
from headfit.fitting.methods import Method, method_of
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import CrossValidation, Problem, Settings
from headfit.fitting.views import OnViews
from headfit.heads.chain import Head
from headfit.images.decode import decode
from headfit.images.read_ahead import ReadAhead
from headfit.runs.extracted_views import ExtractedViews
from headfit.runs.map_source import MapSource
from headfit.util.cache import TUNING
from headfit.util.child import default_backend

SCRATCH = "scratch"
CHECKED = 8  # images whose maps must be those of the frozen backbone
TOLERANCE = 0.02  # of the largest mean: maps are stored in half precision
IN_MEMORY = 1024**3  # bytes of pixels; more are mapped from a file


@dataclass(frozen=True)
class Part:
    """A part of a backbone that is trained.

    Attributes:
        name: as the user named it.
        start: the layer before it; empty for the whole backbone.
        parameters: number of weights that are trained.
        depths: of each of its layers, by name: how many stages follow its own.
        backbone: whose part it is.
        scratch: whether its weights start at random.
    """

    name: str
    start: str
    parameters: int
    depths: dict[str, int]
    backbone: str
    scratch: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Give plain data that JSON can hold."""
        return {
            "name": self.name,
            "backbone": self.backbone,
            "start": self.start or None,
            "parameters": self.parameters,
        }


def parts_of(source: MapSource, names: Sequence[str], *, scratch: bool) -> list[Part]:
    """Find what is trained; imports Keras, on the user's backend or else on JAX.

    Args:
        source: the backbone.
        names: ``last``, ``all``, numbers of last stages, or layers.
        scratch: whether the backbone is also trained from random weights.

    Raises:
        UsageError: there is no such part.
        WeightsError: the weights are not available.
    """
    model = _backbone(source)
    from headfit.backbones.stages import (  # noqa: PLC0415  (imports Keras)
        ALL,
        stages,
        starting_at,
        tail,
        unfreeze,
    )

    every = stages(model)
    depths = {
        layer: len(every) - 1 - place for place, stage in enumerate(every) for layer in stage.layers
    }
    parts = []
    for name in [*names, *([SCRATCH] if scratch else [])]:
        start = starting_at(model, ALL if name == SCRATCH else name)
        part = tail(model, start)
        unfreeze(part)
        count = sum(math.prod(each.shape) for each in part.trainable_weights)
        if not count:
            expected = "a part with weights to train"
            raise UsageError.invalid("unfreeze", name, expected, f"None follow {start}.")
        own = {layer.name: depths[layer.name] for layer in part.layers if layer.name in depths}
        parts.append(Part(name, start, count, own, source.spec.name, name == SCRATCH))
    return parts


def _backbone(source: MapSource, *, scratch: bool = False) -> Any:
    os.environ["KERAS_BACKEND"] = default_backend()  # JAX, unless the user chose another
    from headfit.backbones.build import build, randomise  # noqa: PLC0415  (imports Keras)
    from headfit.backbones.cut import build_cut  # noqa: PLC0415  (imports Keras)

    size, weights = source.contract.height, source.weights
    if scratch and not source.spec.custom:
        weights = RANDOM  # which need not be there
    if source.cut:
        model = build_cut(source.spec, size, weights, [source.cut])
    else:
        model = build(source.spec, size, weights)
    if scratch:
        randomise(model)
    return model


@dataclass(frozen=True, eq=False)
class Tuning:
    """The images of a run as every part of the backbone takes them.

    Attributes:
        source: the backbone.
        head: the head.
        recipe: how parts are trained.
        views: which views of the images.
        found: maps of all views of all images that could be read.
        rows: int (n,), the images that the study trains on.
        problem: labels and folds of the images trained on.
        parts: what is trained.
    """

    source: MapSource
    head: Head
    recipe: Recipe
    views: Views
    found: ExtractedViews
    rows: np.ndarray
    problem: Problem
    parts: Sequence[Part] = ()
    _latest: dict[str, FineTuning] = field(default_factory=dict)

    @property
    def extraction(self) -> Extraction:
        """Of all images that could be read, as they are."""
        return self.found.extraction

    @property
    def ends(self) -> ViewMaps:
        """Maps of all views at the backbone's end."""
        return self.found.ends

    def on_views(self, *, average: bool = False) -> Method:
        """Give the method that fits the head on all views, or on the images as they are."""
        return self._frozen(np.arange(len(self.rows)), average=average)

    def fit_head(self, problem: Problem, images: Ints, settings: Settings) -> FittedHead:
        """Fit the frozen head on some of the images trained on, int (m,)."""
        part = replace(problem, targets=problem.targets.subset(images))
        return self._frozen(images).refit(part, settings)

    def method(self, part: Part, frozen: CrossValidation, *, average: bool = False) -> FineTuning:
        """Give the method that trains a part with the head.

        Args:
            part: what is trained.
            frozen: the cross-validation of the head alone.
            average: whether scores are of the mean over views.
        """
        if part.name not in self._latest:
            self._latest.clear()  # pixels and compiled steps take memory
            digests = [self.extraction.digests[row] for row in self.rows]
            self._latest[part.name] = FineTuning(
                self.head,
                part.name,
                part.start,
                self.recipe,
                self.inputs(part, self.rows),
                self.views.identity,
                [self.source.key, digests, part.scratch],
                self._blank if part.scratch else self.fit_head,
                frozen,
                self.make_trainer(part),
                part.parameters,
                TUNING.folder,
            )
        return replace(self._latest[part.name], average=average)

    def release(self) -> None:
        """Let go of pixels, weights and compiled steps; they are made again when needed."""
        self._latest.clear()

    def inputs(self, part: Part, rows: np.ndarray) -> Inputs:
        """Give some images, int (m,), as a part takes them."""
        if part.start:
            return StoredMaps(self.found.starts[part.start].of(rows))
        digests = [self.extraction.digests[row] for row in rows]
        pixels = read_pixels(self.extraction, rows, self.source)
        return Pixels(pixels, digests, self.views, self.source.contract)

    def probe_inputs(self, part: Part) -> np.ndarray:
        """Give the probe images as a part takes them, float32 (2, H, W, C)."""
        contract = self.source.contract
        pixels = contract.apply(probe_images(contract.height, contract.width))
        if not part.start:
            return pixels
        return self.found.probes[part.start]

    def _frozen(self, images: Ints, *, average: bool = False) -> Method:
        maps = self.ends.of(self.rows[images]).maps
        method = method_of(self.head, PooledFeatures(maps, (self.head.pooling,)), self.problem.seed)
        return OnViews(method, self.views, average) if self.views.count > 1 else method

    def _blank(self, problem: Problem, images: Ints, settings: Settings) -> FittedHead:
        """Give a head of small random weights, for a backbone that has not learnt anything."""
        fitted = self.fit_head(problem, images, settings)
        rng = np.random.default_rng(problem.seed)
        weights = [
            (rng.standard_normal(w.shape) * np.sqrt(1.0 / w.shape[0])).astype(np.float32)
            if w.ndim > 1
            else np.zeros_like(w)
            for w in fitted.weights
        ]
        units = Units.of(problem.targets, images)
        own = tuple(weights) if units is None else units.multiplied(self.head, weights)
        return replace(fitted, weights=own)

    def make_trainer(self, part: Part) -> Callable[[float | None, float], Any]:
        """Give what builds the model that trains a part, for a shape and a scale of the head.

        It raises :class:`headfit.EngineError` if the part, before it is trained, does not give the
        maps of the frozen backbone.
        """
        source, targets = self.source, self.problem.targets

        def make(shape: float | None, scale: float) -> Any:
            model = _backbone(source, scratch=part.scratch)
            from headfit.backbones.build import even_out  # noqa: PLC0415  (imports Keras)
            from headfit.backbones.stages import tail  # noqa: PLC0415  (imports Keras)
            from headfit.finetuning.training import Trainer  # noqa: PLC0415  (imports Keras)

            if part.scratch:
                even_out(model, self.probe_inputs(part))
            trainer = Trainer(
                tail(model, part.start),
                self.head,
                targets.count,
                self.recipe,
                shape=shape,
                scale=scale,
                depths=part.depths,
                scratch=part.scratch,
                kind=targets.kind,
            )
            if not part.scratch:
                self._check_start(trainer, part)
            return trainer

        return make

    def _check_start(self, trainer: Any, part: Part) -> None:
        """See that a part, before it is trained, gives the maps of the frozen backbone.

        So preprocessing is there once, and the frozen layers are those of the frozen head.

        Raises:
            EngineError: it does not.
        """
        some = np.arange(min(CHECKED, len(self.rows)))
        expected = self.ends.view(0).read(self.rows[some]).mean((1, 2))
        got = trainer.averages(self.inputs(part, self.rows[some]), some)
        if np.abs(got - expected).max() > TOLERANCE * (np.abs(expected).max() + 1e-6):
            raise EngineError(
                f"The part of {self.source.spec.name} that `unfreeze={part.name!r}` trains does "
                f"not give the feature maps of the frozen backbone, so its scores could not be "
                f"compared. Its layers may depend on more than the map that enters them."
            )


def read_pixels(extraction: Extraction, rows: np.ndarray, source: MapSource) -> np.ndarray:
    """Decode images once, into memory or a temporary file: uint8 (m, height, width, 3).

    Raises:
        DataError: one of them cannot be read any more.
    """
    index, contract = extraction.index, source.contract
    shape = (len(rows), contract.height, contract.width, 3)
    pixels: np.ndarray
    if np.prod(shape) <= IN_MEMORY:
        pixels = np.empty(shape, np.uint8)
    else:
        with tempfile.TemporaryFile() as file:  # goes with the last reference to the map
            pixels = np.memmap(file, np.uint8, "w+", shape=shape)
    ahead = ReadAhead(
        range(len(rows)),
        lambda place: index.read_bytes(int(rows[place])),
        lambda data: decode(data, contract.height, contract.width, contract.depth),
    )
    with contextlib.closing(iter(ahead)) as images:
        for place, image in images:
            if isinstance(image, ImageError):
                path = index.paths[rows[place]]
                raise DataError(f"'{path}' could be read before, but not now: {image}.")
            pixels[place] = image
    return pixels
