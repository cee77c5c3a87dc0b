"""Ranks backbones: each makes one pass over the images and is scored by ridge on its averages.

The wiring images → feature store → gap features → ridge, each image left out → standings. Feature
maps are those that a comparison of heads uses, so ranking first costs nothing later.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from headfit.backbones import catalog
from headfit.backbones.weights import IMAGENET, RANDOM
from headfit.errors import (
    DataError,
    EngineError,
    HeadfitError,
    ModelFileError,
    UsageError,
    WeightsError,
)
from headfit.features.extract import Extraction
from headfit.fitting.exact.loo import leave_out
from headfit.fitting.pooled import PooledFeatures
from headfit.heads.layers.plain import GAP
from headfit.images.index import ImageIndex
from headfit.images.sources.source import ImageSource, quote
from headfit.images.targets import CLASS, LABELS, NUMBER, SEPARATOR
from headfit.progress import IMAGES, Callback, CallbackList
from headfit.report.text.images import not_ranked
from headfit.report.text.ranking import label, sentence
from headfit.runs import provenance
from headfit.runs.grid import GridPoint, backbones_with_weights
from headfit.runs.grouping import UserGroups, find_groups, lone_groups
from headfit.runs.map_source import (
    Images,
    MapSource,
    find_depth,
    maps_of,
    open_index,
    require_classes,
)
from headfit.runs.options import Options
from headfit.runs.provenance import command_line
from headfit.runs.ranking import Ranking
from headfit.study.ranking.results import Failed, RankedBackbone, class_counts, describe
from headfit.study.ranking.standings import Standing, standings

SCHEMA = "headfit.ranking/1"
MOST_ADVISED = 3
MIN_IMAGES = 2  # of a class: one to leave out, one to learn from


def rank(
    images: ImageIndex | str | os.PathLike[str],
    backbones: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None = None,
    *,
    weights: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = IMAGENET,
    preprocessing: str | None = None,
    size: int | None = None,
    seed: int = 0,
    groups: str | os.PathLike[str] | None = None,
    near_duplicates: bool = True,
    engine: str = "auto",
    splits: bool | None = None,
    follow_links: bool = False,
    skip_empty_classes: bool = False,
    path_column: str | None = None,
    label_column: str | Iterable[str] | None = None,
    split_column: str | None = None,
    group_column: str | None = None,
    weight_column: str | None = None,
    target: str | None = None,
    label_separator: str = SEPARATOR,
    root: str | os.PathLike[str] | None = None,
    strict: bool = False,
    callbacks: Callback | Iterable[Callback] | None = None,
) -> Ranking:
    """Find out which backbone separates these classes best, by a quick test, the same for all.

    Ridge regression on the averaged feature maps predicts each image from all others.

    Args:
        images: a folder with a sub-folder for each class, a table of image files (``.csv``,
            ``.tsv``, ``.jsonl`` or ``.parquet``), an archive of class folders, or an index.
        backbones: names or models of your own, as a list or separated by commas. If None, those
            whose weights are installed.
        weights: ``"imagenet"``, ``"random"`` or the path of a file: one for all backbones, or one
            for each.
        preprocessing: of pixels for models of your own: ``"none"``, ``"tf"``, ``"caffe"`` or
            ``"torch"``. If None, the model's own, else none.
        size: side of the input in pixels. If None, each backbone's own.
        seed: random seed of the intervals of the differences.
        groups: images that are left out together: a CSV file with the columns path and group, or
            a regular expression on the path.
        near_duplicates: whether near-duplicates are detected and left out together.
        engine: what runs the backbones: ``"openvino"``, ``"keras"``, or ``"auto"`` for the first
            that can.
        splits: whether the folders are ``train``/``val``/``test`` folders of class folders (True)
            or classes (False). If None, their names decide.
        follow_links: whether links are followed that point outside the folder, or the root of a
            table.
        skip_empty_classes: whether classes without images that can be read are left out; else
            they stop the run.
        path_column: of a table; all as for :meth:`headfit.ImageIndex.from_table`.
        label_column: of a table; several columns hold numbers, or 0 and 1 for a label each.
        split_column: of a table.
        group_column: of a table.
        weight_column: of a table.
        target: ``"class"``, ``"labels"`` or ``"number"``; if None, the source shows it.
        label_separator: what stands between the labels in a cell of a table.
        root: the folder that the paths in a table are relative to.
        strict: whether rows of a table that cannot be used stop the run.
        callbacks: one or several that follow the run.

    Returns:
        The ranking, best first, and the backbones that could not be ranked with the reason.

    Raises:
        UsageError: an argument is wrong.
        DataError: the images cannot answer: none, one class, one image of a class.
        WeightsError: none of the backbones can run, for want of weights.
        EngineError: none of the backbones can run.
        WriteError: the feature store cannot be written.

    Example:

    ```python
    ranking = hf.rank("photos", ["efficientnet_lite0", "MobileNetV2"])
    print(ranking.best)
    ```
    """
    # the rest are fields of Options, by the same names
    own = {"images", "backbones", "weights", "preprocessing", "callbacks", "own"}
    options = Options(**{k: v for k, v in locals().items() if k not in own})
    if isinstance(size, bool) or not (size is None or isinstance(size, int)):
        raise UsageError.invalid("size", size, "a number of pixels, such as 224")
    options.check()
    callback = CallbackList(callbacks)
    chosen = installed() if backbones is None else backbones
    failed: list[Failed] = []

    def unusable(text: str, error: HeadfitError) -> None:
        failed.append((Path(text).stem, IMAGENET, error))
        callback.on_message(f"{text} is left out: {error}")

    pairs = backbones_with_weights("backbones", chosen, weights, preprocessing, unusable)
    if failed and not pairs:
        raise none_ran(failed)
    twice = [label(s.name, w) for s, w in pairs if pairs.count((s, w)) > 1]
    if twice:
        remedy = f"Remove one {twice[0]}."
        raise UsageError.invalid("backbones", backbones, "backbones that differ", remedy)
    sources = [
        MapSource.of(GridPoint(spec, checked, size), options, callback) for spec, checked in pairs
    ]
    return _Run(sources, options, callback, preprocessing, failed).run(images)


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
        preprocessing: str | None,
        failed: list[Failed],
    ) -> None:
        self.sources, self.options = sources, options
        self.callback, self.preprocessing = callback, preprocessing
        self.failed = failed
        self.user_groups: UserGroups | None = None
        self.together: dict[str, int] = {}  # the group of each image, by its path
        self.start = time.perf_counter()

    def run(self, images: Images) -> Ranking:
        """Go through all backbones, then compare them."""
        index = open_index(images, self.options, self.callback, _check_classes)
        if index.unlabelled:
            self.callback.on_message(not_ranked(len(index.unlabelled)))
        self.user_groups = UserGroups.read(index, self.options)
        depth = find_depth(index, self.callback)
        self.sources = [source.with_depth(depth) for source in self.sources]
        tried = [self._try(source, index) for source in self.sources]
        measured = [each for each in tried if each is not None]
        if not measured:
            raise none_ran(self.failed)
        # of equally good ones the smallest is to be the best
        measured.sort(key=lambda each: each.extraction.info.parameters)
        standing = self._compare(measured)
        pairs = sorted(
            zip(measured, standing, strict=True), key=lambda pair: -pair[1].balanced_accuracy[0]
        )
        described = describe(pairs, self.failed)
        equal = [each for each, standing in pairs if standing.within_noise]
        return Ranking(
            {
                "schema": SCHEMA,
                "sentence": sentence(described["backbones"]),
                "next": self._next(index.source, equal),
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

    def _next(self, images: ImageSource, equal: list[RankedBackbone]) -> str:
        """Write the command that compares heads on these backbones, from the same feature maps."""
        first = {each.spec.name: each for each in reversed(equal)}  # compare takes a name once
        chosen = [each for each in equal if first[each.spec.name] is each][:MOST_ADVISED]
        weights = [each.weights for each in chosen]
        engine = self.options.engine
        options = {
            "backbone": [each.spec.argument for each in chosen],
            "weights": None if set(weights) == {IMAGENET} else weights,
            "size": self.options.size,
            "preprocessing": self.preprocessing,
            "engine": None if engine == Options.engine else engine,
        }
        return command_line("compare", images.argument, {**options, **images.options})

    def _try(self, source: MapSource, index: ImageIndex) -> RankedBackbone | None:
        """Measure one backbone; note why if it cannot run."""
        name = label(source.spec.name, source.weights)
        self.callback.on_stage_begin(name, len(index), IMAGES)
        for note in source.spec.notes:
            self.callback.on_message(note)
        if source.weights == RANDOM:
            self.callback.on_message(
                f"WARNING: {source.spec.name} has RANDOM weights: its scores say nothing about a "
                f"pretrained backbone."
            )
        try:
            return self._measure(source, index)
        except (WeightsError, EngineError, ModelFileError) as error:
            self.failed.append((source.spec.name, source.weights, error))
            self.callback.on_message(f"{name} is left out: {error}")
            return None

    def _measure(self, source: MapSource, index: ImageIndex) -> RankedBackbone:
        """Bring the maps of all images into the store, and predict each by all others."""
        start = time.perf_counter()
        skip = self.options.skip_empty_classes
        tell = self.callback if source is self.sources[0] else Callback()  # once is enough
        (extraction,) = require_classes(maps_of([source], index), skip, tell, index)
        _check_classes(extraction.index)
        rows = extraction.index.training
        self.callback.on_progress(len(index), "leaving out each image in turn")
        left_out = leave_out(
            PooledFeatures(extraction.maps.subset(rows), (GAP,)).features(GAP, None),
            extraction.index.targets.subset(rows),
            groups=self._groups(extraction, rows),
        )
        name = label(source.spec.name, source.weights)
        seconds = time.perf_counter() - start
        if extraction.computed == 0:
            self.callback.on_message(f"All {extraction.cached} maps of {name} were in the store.")
        if left_out.at_edge:
            self.callback.on_message(
                f"{name}: penalty {left_out.penalty:.2g} is at the edge of those tried."
            )
        return RankedBackbone(
            source.spec, source.weights, source.contract, extraction, rows, left_out, seconds
        )

    def _groups(self, extraction: Extraction, rows: np.ndarray) -> np.ndarray:
        """Number the images that are left out together: the same for all backbones, int (n,)."""
        paths = [extraction.index.paths[row] for row in rows]
        if not self.together:
            part, every = extraction.only(set(paths)), np.arange(len(rows))
            groups = find_groups(part, every, self.user_groups, self.options, self.callback)
            for line in lone_groups(part.index.targets, groups):
                self.callback.on_message(line)
            numbers = every if groups.numbers is None else groups.numbers
            self.together = dict(zip(paths, numbers, strict=True))
        # an image that only this backbone could read stands alone
        return np.array([self.together.get(p, -1 - n) for n, p in enumerate(paths)])

    def _compare(self, measured: list[RankedBackbone]) -> list[Standing]:
        """Compare on the images that all could read."""
        shared = set(measured[0].paths).intersection(*(each.paths for each in measured[1:]))
        masks = [np.array([path in shared for path in each.paths], bool) for each in measured]
        hits = [each.left_out.hits[mask] for each, mask in zip(measured, masks, strict=True)]
        extraction, rows = measured[0].extraction, measured[0].rows[masks[0]]
        return standings(
            extraction.index.labels[rows],
            np.stack(hits),
            groups=self._groups(extraction, rows),
            seed=self.options.seed,
        )


def none_ran(failed: list[Failed]) -> HeadfitError:
    """Make the error of a ranking without a backbone that could run."""
    errors = [error for *_, error in failed]
    if len(errors) == 1:
        return errors[0]
    kind = WeightsError if all(isinstance(e, WeightsError) for e in errors) else EngineError
    reasons = (f"{label(name, weights)}: {error}" for name, weights, error in failed)
    return kind(f"None of the backbones could be ranked. {' '.join(reasons)}")


NOUNS = {LABELS: "several labels", NUMBER: "numbers"}


def _check_classes(index: ImageIndex) -> None:
    if index.targets.kind != CLASS:
        raise DataError(
            f"Backbones are ranked by how well they tell classes apart, and these images have "
            f"{NOUNS[index.targets.kind]} instead. Compare the backbones themselves: give several "
            f"to `compare`."
        )
    counts = class_counts(index.subset(index.training))
    few = [f"{quote(name)} ({count})" for name, count in counts.items() if count < MIN_IMAGES]
    if few:
        raise DataError(
            f"Classes with too few images: {', '.join(few)}. At least {MIN_IMAGES} of each class "
            f"are needed, one to leave out and one to learn from. Add images to them or leave them "
            f"out."
        )
