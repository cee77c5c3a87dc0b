"""The one place that wires the stages: images → features → heads → study → classifier."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from headfit.backbones.weights import RANDOM
from headfit.errors import UsageError
from headfit.features.extract import Extraction
from headfit.fitting.problem import CrossValidation, Problem
from headfit.heads.chain import Head
from headfit.images.index import TEST, ImageIndex, require_per_class
from headfit.progress import IMAGES, Callback, HeadScore, Progress
from headfit.runs.announcement import Announcer
from headfit.runs.candidates import Entry
from headfit.runs.grouping import Given, find_groups, folds_for
from headfit.runs.int8_check import Int8Effect, int8_effect
from headfit.runs.map_source import MapSource, calibration, maps_of, names, passes
from headfit.runs.options import Options
from headfit.runs.position import learning, where_matters
from headfit.runs.refit import blueprint, keep, reliability_of
from headfit.runs.results import PRIMARY, Outcome, score_test
from headfit.runs.study import Study
from headfit.study.comparison.int8 import choose_head
from headfit.study.comparison.results import score
from headfit.study.comparison.verdict import Verdict
from headfit.study.protocol.splits import make_splits


def compare(
    images: ImageIndex | str | os.PathLike[str],
    *,
    callback: Callback | None = None,
    **options: Any,
) -> Study:
    """Find out which head suits a backbone on these images.

    Args:
        images: an image folder with a sub-folder for each class, or its index.
        callback: is told the progress.
        **options: see :class:`headfit.runs.options.Options`.

    Returns:
        The study: its verdict, its table, and the way to the classifier.

    Raises:
        UsageError: if an option is wrong.
        DataError: if the images cannot answer: none, one class, too few of a class.
        WeightsError, EngineError: if the backbone cannot run.
        WriteError: if the feature store cannot be written.
    """
    try:
        chosen = Options(**options)
    except TypeError as error:
        raise UsageError(f"{error}. Options: {', '.join(Options.__dataclass_fields__)}.") from None
    return _Run(images, chosen, callback or Callback()).run()


@dataclass
class _Clock:
    """Seconds of each stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    start: float = field(default_factory=time.perf_counter)
    last: float = field(default_factory=time.perf_counter)

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name], self.last = round(now - self.last, 3), now

    def total(self) -> dict[str, float]:
        return {**self.seconds, "total": round(time.perf_counter() - self.start, 3)}


class _Run:
    """One comparison, stage by stage."""

    def __init__(
        self, images: ImageIndex | str | os.PathLike[str], options: Options, callback: Callback
    ) -> None:
        self.images, self.options, self.callback = images, options, callback
        self.places, self.heads = options.check()
        self.clock = _Clock()
        several = max(1, sum(not place.extra for place in self.places))
        self.announcer = Announcer(options, self.heads, several, callback)

    def run(self) -> Study:
        """Go through all stages."""
        for name in dict.fromkeys(p.spec.name for p in self.places if p.weights == RANDOM):
            self.callback.on_message(
                f"WARNING: {name} has RANDOM weights: these figures say nothing about a "
                f"pretrained backbone."
            )
        for note in dict.fromkeys(note for place in self.places for note in place.spec.notes):
            self.callback.on_message(note)
        index = self._index()
        given = Given.of(index, self.options)
        used = calibration(index, self.options)
        sources = [MapSource.of(p, self.options, self.callback, used) for p in self.places]
        self.clock.lap("audit")
        entries = self._entries(sources, index)
        self.clock.lap("decode_and_extract")
        outcome = self._fit(entries, given)
        self.clock.lap("heads")
        self.callback.on_stage_begin("Statistics", 1)
        verdict = outcome.verdict()
        self.clock.lap("statistics")
        return self._finish(outcome, verdict)

    def _index(self) -> ImageIndex:
        self.callback.on_stage_begin("Looking for images", 1)
        given = self.images
        index = given if isinstance(given, ImageIndex) else ImageIndex.from_directory(given)
        require_per_class(index, self.options.least_folds)
        self.callback.on_progress(1, f"{len(index)} images, {len(index.classes)} classes")
        return index

    def _entries(self, sources: list[MapSource], index: ImageIndex) -> list[Entry]:
        """Get the maps of all images from every backbone; keep what all of them could be given."""
        shared_passes = passes(sources)
        extracted: dict[int, Extraction] = {}
        for mates in shared_passes:
            each = self._extract(mates, index, len(shared_passes))
            extracted |= {id(mate): part for mate, part in zip(mates, each, strict=True)}
        found = [extracted[id(source)] for source in sources]
        shared = set(found[0].index.paths).intersection(*(each.index.paths for each in found))
        parts = [each.only(shared) for each in found]
        first = parts[0].index
        if first.skipped:
            self.callback.on_message(
                f"{_files(len(first.skipped))} skipped; results.json says which and why."
            )
        require_per_class(first, self.options.least_folds)
        rows = np.flatnonzero([split != TEST for split in first.splits])
        return [
            Entry(name, source, part, rows)
            for name, source, part in zip(names(sources), sources, parts, strict=True)
        ]

    def _extract(self, mates: list[MapSource], index: ImageIndex, count: int) -> list[Extraction]:
        """Get the maps of sources that share a pass, one of ``count``."""
        several = count > 1
        name = mates[0].pass_name if several else "the backbone"
        self.callback.on_stage_begin(f"Images through {name}", len(index), IMAGES)
        extractions = maps_of(mates, index, partial(self.announcer.opened, mates[0], index, count))
        found = extractions[0]
        if found.computed == 0:
            of = f" of {name}" if several else ""
            self.callback.on_message(
                f"All {found.cached} feature maps{of} were in the store: no backbone pass was "
                f"needed."
            )
        elif found.cached:
            self.callback.on_message(
                f"{found.computed} images went through {name}, {found.cached} were known."
            )
        return extractions

    def _fit(self, entries: list[Entry], given: Given | None) -> Outcome:
        """Cross-validate every head on every backbone, on identical folds."""
        options, first = self.options, entries[0]
        labels = first.found.index.labels[first.rows]
        groups = find_groups(first.found, first.rows, given, options, self.callback)
        splits = make_splits(
            labels,
            folds=folds_for(labels, groups, options, self.callback),
            repeats=options.rounds,
            seed=options.seed,
            groups=groups.numbers,
        )
        classes = len(first.found.index.classes)
        problem = Problem(labels, classes, splits, quick=options.quick, seed=options.seed)
        several = len({entry.name for entry in entries}) > 1
        for entry in entries:
            heads = entry.suitable(self.heads, self.callback, asked=options.heads is not None)
            self.announcer.training(entry, heads, problem)
            on = f" on {entry.name}" if several else ""
            self.callback.on_stage_begin(f"Training heads{on}", len(heads))
            entry.fit(heads, problem, self._progress, self._scored(entry, problem, several))
            for line in (line for fit in entry.fits for line in fit.warnings):
                self.callback.on_message(line)
            if len(entries) > 1:
                entry.pooled.release()
        return Outcome(entries, problem, options, groups)

    def _progress(self, number: int, head: Head) -> Progress:
        return Progress(lambda done: self.callback.on_progress(number + done, head.name))

    def _scored(
        self, entry: Entry, problem: Problem, several: bool
    ) -> Callable[[CrossValidation, dict[str, np.ndarray]], None]:
        folds, shape = problem.splits.folds, entry.found.info.map_shape

        def tell(fit: CrossValidation, metrics: dict[str, np.ndarray]) -> None:
            name = f"{entry.name}/{fit.head.name}" if several else fit.head.name
            main, loss = (score(metrics[kind], folds, kind) for kind in (PRIMARY, "log_loss"))
            size = fit.head.parameters(shape, problem.classes)
            self.callback.on_head_end(HeadScore(name, main, loss, size, fit.seconds))

        return tell

    def _finish(self, outcome: Outcome, verdict: Verdict) -> Study:
        """Measure what rests on the verdict, refit the recommended head, and gather everything."""
        home, chosen = outcome.recommended(verdict)
        options, problem, callback = self.options, outcome.problem, self.callback
        beside = outcome.beside(home)
        where = where_matters(beside, problem, verdict, callback) if options.where else None
        self.clock.lap("where")
        groups = outcome.groups.numbers
        curve = learning(beside, problem, groups, callback) if options.curve else None
        self.clock.lap("learning_curve")
        int8 = self._int8(outcome, home, chosen.head)
        self.clock.lap("precision")
        callback.on_stage_begin(f"Fitting {verdict.recommended} on all training images", 1)
        fitted = home.refit(chosen, problem)
        test = score_test(home, fitted)
        reliability = reliability_of(home, chosen, problem)
        others = [name for name in options.kept(self.heads) if name != chosen.head.name]
        kept = keep(others, outcome, home, int8.probe, callback)
        self.clock.lap("refit")
        results = {
            **outcome.results(verdict),
            "where": where,
            "learning_curve": curve,
            "reliability": reliability.to_dict(),
            "test": test,
            "precision": int8.described,
            "timings": self.clock.total(),
        }
        return Study(
            verdict,
            results,
            home.found.index.subset(home.rows),
            chosen.probabilities.mean(axis=0),
            problem.splits.assignment,
            reliability.suspects_csv(),
            blueprint(home, fitted, int8.probe, reliability),
            kept,
        )

    def _int8(self, outcome: Outcome, home: Entry, chosen: Head) -> Int8Effect:
        """Measure what int8 changes, if it is in use."""
        if home.source.calibration is None:
            return Int8Effect(None, home.found.probe)
        self.callback.on_stage_begin("int8 against float32", 1)
        head = choose_head(chosen.name, home.fits, home.metrics)
        return int8_effect(
            home.source,
            home.found,
            home.rows,
            outcome.problem,
            outcome.groups.numbers,
            outcome.groups.alike,
            head,
            recommended=head.name == chosen.name,
        )


def _files(count: int) -> str:
    return "1 file was" if count == 1 else f"{count} files were"
