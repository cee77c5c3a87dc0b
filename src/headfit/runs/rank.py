"""Ranks backbones: each makes one pass over the images and is judged by ridge on its averages.

The wiring images → feature store → gap features → ridge, each image left out → standings. Feature
maps are those that a comparison of heads uses, so ranking first costs nothing later.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from headfit.backbones import catalog
from headfit.backbones.weights import IMAGENET, RANDOM, check_weights
from headfit.errors import DataError, EngineError, HeadfitError, UsageError, WeightsError
from headfit.features.extract import Extraction
from headfit.fitting.exact.loo import leave_out
from headfit.fitting.pooled import PooledFeatures
from headfit.heads.layers.gap import GAP
from headfit.images.index import TEST, ImageIndex
from headfit.progress import IMAGES, Callback
from headfit.report.text.ranking import label, sentence
from headfit.runs import provenance
from headfit.runs.grouping import Given, find_groups
from headfit.runs.map_source import MapSource, maps_of
from headfit.runs.options import Options, Place
from headfit.runs.ranking import Ranking
from headfit.study.ranking.results import Failed, RankedBackbone, class_counts, describe
from headfit.study.ranking.standings import Standing, standings

SCHEMA = "headfit.ranking/1"
MOST_ADVISED = 3
FEWEST = 2  # of a class: one to leave out, one to know it by


def rank(
    images: ImageIndex | str | os.PathLike[str],
    backbones: str | Iterable[str] | None = None,
    *,
    weights: str | Iterable[str] = IMAGENET,
    preprocessing: str | None = None,
    size: int | None = None,
    seed: int = 0,
    engine: str = "auto",
    groups: str | None = None,
    near_duplicates: bool = True,
    callback: Callback | None = None,
) -> Ranking:
    """Find out which backbone tells these classes best, by a quick test that is fair to all.

    Args:
        images: an image folder with a sub-folder for each class, or its index.
        backbones: names, or one text with commas; those whose weights are installed if None.
        weights: ``"imagenet"``, ``"random"`` or a path: one for all, or one for each backbone.
        preprocessing: of own models, as :class:`headfit.runs.options.Options` has it.
        size: side of the input in pixels; each backbone's own if None.
        seed: of the intervals of the differences.
        engine: ``"auto"``, ``"openvino"`` or ``"keras"``.
        groups: a CSV file or a regular expression that says which images belong together.
        near_duplicates: whether near-duplicates are found, and left out together.
        callback: is told the progress.

    Returns:
        The ranking, best first; what could not be ranked is in it with the reason.

    Raises:
        UsageError: if an argument is wrong.
        DataError: if the images cannot answer: none, one class, one image of a class.
        WeightsError, EngineError: if none of the backbones can run.
        WriteError: if the feature store cannot be written.
    """
    options, callback = (
        Options(
            size=size, seed=seed, engine=engine, groups=groups, near_duplicates=near_duplicates
        ),
        callback or Callback(),
    )
    options.check()
    names = installed() if backbones is None else _words(backbones)
    sources = [
        MapSource.of(Place(spec, checked, size), options, callback)
        for spec, checked in _backbones(names, _words(weights), preprocessing)
    ]
    given = images.root if isinstance(images, ImageIndex) else images
    return _Run(sources, options, callback, os.fspath(given), preprocessing).run(images)


def installed() -> list[str]:
    """Name the backbones whose weights are installed, so that they need no download."""
    specs = (catalog.find(name) for name in catalog.names())
    return [s.name for s in specs if s.package and importlib.util.find_spec(s.package)]


class _Run:
    """One ranking."""

    def __init__(
        self,
        sources: list[MapSource],
        options: Options,
        callback: Callback,
        folder: str,
        preprocessing: str | None,
    ) -> None:
        self.sources, self.options = sources, options
        self.callback, self.folder, self.preprocessing = callback, folder, preprocessing
        self.failed: list[Failed] = []
        self.given: Given | None = None
        self.together: dict[str, int] = {}  # the group of each image, by its path
        self.start = time.perf_counter()

    def run(self, images: ImageIndex | str | os.PathLike[str]) -> Ranking:
        """Go through all backbones, then compare them."""
        index = self._index(images)
        self.given = Given.of(index, self.options)
        tried = [self._try(source, index) for source in self.sources]
        measured = [found for found in tried if found is not None]
        if not measured:
            raise self._none()
        # of equally good ones the smallest is to be the best
        measured.sort(key=lambda m: m.extraction.info.parameters)
        judged = self._compare(measured)
        pairs = sorted(
            zip(measured, judged, strict=True), key=lambda pair: -pair[1].balanced_accuracy[0]
        )
        described = describe(pairs, self.failed)
        return Ranking(
            {
                "schema": SCHEMA,
                "sentence": sentence(described["backbones"]),
                "next": self._next([each for each, standing in pairs if standing.within_noise]),
                **described,
                "settings": self._settings(),
                "seconds": round(time.perf_counter() - self.start, 3),
            }
        )

    def _settings(self) -> dict[str, Any]:
        options = self.options
        return {
            "seed": options.seed,
            "size": options.size,
            "preprocessing": self.preprocessing,
            "engine": options.engine,
            "groups": options.groups,
            "near_duplicates": options.near_duplicates,
            "versions": {name: version(name) for name in provenance.PACKAGES},
        }

    def _next(self, equal: list[RankedBackbone]) -> str:
        """Write the command that compares heads on these backbones, from the same feature maps."""
        first = {each.spec.name: each for each in reversed(equal)}  # compare takes a name once
        chosen = [each for each in equal if first[each.spec.name] is each][:MOST_ADVISED]
        weights = ",".join(each.weights for each in chosen)
        options = {
            "backbone": ",".join(each.spec.argument for each in chosen),
            "weights": None if {each.weights for each in chosen} == {IMAGENET} else weights,
            "size": self.options.size,
            "preprocessing": self.preprocessing,
            "engine": None if self.options.engine == Options.engine else self.options.engine,
        }
        words = [(f"--{name}", str(value)) for name, value in options.items() if value is not None]
        return shlex.join(["headfit", "compare", self.folder, *(w for pair in words for w in pair)])

    def _index(self, images: ImageIndex | str | os.PathLike[str]) -> ImageIndex:
        self.callback.on_stage_begin("Looking for images", 1)
        index = images if isinstance(images, ImageIndex) else ImageIndex.from_directory(images)
        _check_classes(index)
        self.callback.on_progress(1, f"{len(index)} images, {len(index.classes)} classes")
        return index

    def _try(self, source: MapSource, index: ImageIndex) -> RankedBackbone | None:
        """Measure one backbone; if it cannot run, note why."""
        name = label(source.spec.name, source.weights)
        self.callback.on_stage_begin(name, len(index), IMAGES)
        for note in source.spec.notes:
            self.callback.on_message(note)
        if source.weights == RANDOM:
            self.callback.on_message(
                f"WARNING: {source.spec.name} has RANDOM weights: its figures say nothing about a "
                f"pretrained backbone."
            )
        try:
            return self._measure(source, index)
        except (WeightsError, EngineError) as error:
            self.failed.append((source.spec, source.weights, error))
            self.callback.on_message(f"{name} is left out: {error}")
            return None

    def _measure(self, source: MapSource, index: ImageIndex) -> RankedBackbone:
        """Bring the maps of all images into the store, and predict each by all others."""
        start = time.perf_counter()
        (found,) = maps_of([source], index)
        _check_classes(found.index)
        rows = _used(found.index)
        self.callback.on_progress(len(index), "leaving out each image in turn")
        left_out = leave_out(
            PooledFeatures(found.maps.subset(rows), (GAP,)).features(GAP, None),
            found.index.labels[rows],
            len(found.index.classes),
            groups=self._groups(found, rows),
        )
        name = label(source.spec.name, source.weights)
        measured = RankedBackbone(
            source.spec,
            source.weights,
            source.contract,
            found,
            rows,
            left_out,
            time.perf_counter() - start,
        )
        if found.computed == 0:
            self.callback.on_message(f"All {found.cached} maps of {name} were in the store.")
        if left_out.at_edge:
            self.callback.on_message(
                f"{name}: penalty {left_out.penalty:.2g} is at the edge of those tried."
            )
        return measured

    def _groups(self, found: Extraction, rows: np.ndarray) -> np.ndarray:
        """Number the images that are left out together: the same for all backbones, int (n,)."""
        paths = [found.index.paths[row] for row in rows]
        if not self.together:
            part, everything = found.only(set(paths)), np.arange(len(rows))
            numbers = find_groups(part, everything, self.given, self.options, self.callback).numbers
            self.together = dict(
                zip(paths, everything if numbers is None else numbers, strict=True)
            )
        # what only this backbone could be given stands alone
        return np.array([self.together.get(p, -1 - n) for n, p in enumerate(paths)])

    def _none(self) -> HeadfitError:
        errors = [error for *_, error in self.failed]
        if len(errors) == 1:
            return errors[0]
        kind = WeightsError if all(isinstance(e, WeightsError) for e in errors) else EngineError
        reasons = (f"{label(spec.name, weights)}: {e}" for spec, weights, e in self.failed)
        return kind(f"None of the backbones could be ranked. {' '.join(reasons)}")

    def _compare(self, measured: list[RankedBackbone]) -> list[Standing]:
        """Compare on the images that all could read."""
        shared = set(measured[0].paths).intersection(*(m.paths for m in measured[1:]))
        kept = [np.array([path in shared for path in m.paths], bool) for m in measured]
        predicted = [m.left_out.predicted[which] for m, which in zip(measured, kept, strict=True)]
        found = measured[0].extraction
        rows = measured[0].rows[kept[0]]
        groups = self._groups(found, rows)
        return standings(
            found.index.labels[rows],
            np.stack(predicted),
            groups=groups,
            seed=self.options.seed,
        )


def _words(given: str | Iterable[str]) -> list[str]:
    if not isinstance(given, str):
        return list(given)
    if Path(given).is_file():  # a path may hold a comma
        return [given]
    return [word.strip() for word in given.split(",")]


def _backbones(
    names: list[str], weights: list[str], preprocessing: str | None
) -> list[tuple[catalog.BackboneSpec, str]]:
    """Give each backbone its weights."""
    if len(weights) not in (1, len(names)):
        raise UsageError(
            f"--weights names {len(weights)}, --backbone {len(names)}: expected one of weights for "
            f"all backbones, or one for each."
        )
    each = weights * len(names) if len(weights) == 1 else weights
    specs = catalog.find_all(names, preprocessing)
    found = [(spec, check_weights(w, spec)) for spec, w in zip(specs, each, strict=True)]
    twice = [label(spec.name, given) for spec, given in found if found.count((spec, given)) > 1]
    if twice:
        raise UsageError(f"--backbone names {twice[0]} twice: leave one of them out.")
    return found


def _used(index: ImageIndex) -> np.ndarray:
    """Give the numbers of the images that are not to be tested on."""
    return np.flatnonzero([split != TEST for split in index.splits])


def _check_classes(index: ImageIndex) -> None:
    counts = class_counts(index.subset(_used(index)))
    few = [f"{name} ({count})" for name, count in counts.items() if count < FEWEST]
    if few:
        raise DataError(
            f"Classes with too few images: {', '.join(few)}; at least {FEWEST} each are needed, "
            f"one to leave out and one to know the class by: add images to them."
        )
