"""The one place that wires the stages: images → features → heads → study → classifier."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np

from headfit import files, provenance
from headfit.backbones.weights import RANDOM, check_weights
from headfit.blueprint import Blueprint
from headfit.comparison import SCHEMA, Study
from headfit.errors import UsageError
from headfit.features.extract import Extraction
from headfit.fitting.fitted import FittedHead, latency_ms
from headfit.fitting.pooled import PooledFeatures
from headfit.heads.chain import Head
from headfit.images.index import TEST, ImageIndex, require_per_class
from headfit.maps import MapSource, calibration
from headfit.options import Options
from headfit.precision import Int8Effect, int8_effect
from headfit.study.agreement import choose_head
from headfit.study.crossval import CrossValidation, cross_validate
from headfit.study.ledger import Ledger
from headfit.study.metrics import evaluate
from headfit.study.problem import Problem
from headfit.study.results import candidate, fold_metrics
from headfit.study.splits import make_splits
from headfit.study.verdict import Verdict, conclude
from headfit.watcher import Watcher


def compare(
    images: ImageIndex | str | os.PathLike[str],
    *,
    watcher: Watcher | None = None,
    **options: Any,
) -> Study:
    """Find out which head suits a backbone on these images.

    Args:
        images: an image folder with a sub-folder for each class, or its index.
        watcher: is told the progress.
        **options: see :class:`headfit.options.Options`.

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
    return _Run(images, chosen, watcher or Watcher()).run()


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


@dataclass(frozen=True)
class _Fits:
    """What training gave: the problem, and each head's cross-validation and fold metrics."""

    problem: Problem
    groups: np.ndarray | None
    found: list[CrossValidation]
    metrics: list[dict[str, np.ndarray]]


class _Run:
    """One comparison, stage by stage."""

    def __init__(
        self, images: ImageIndex | str | os.PathLike[str], options: Options, watcher: Watcher
    ) -> None:
        self.images, self.options, self.watcher = images, options, watcher
        self.spec, self.heads = options.check()
        self.weights = check_weights(options.weights)
        self.contract = self.spec.contract(options.size)
        self.clock = _Clock()

    def run(self) -> Study:
        """Go through all stages."""
        if self.weights == RANDOM:
            self.watcher.tell(
                f"WARNING: {self.spec.name} has RANDOM weights: these figures say nothing about a "
                f"pretrained backbone."
            )
        index = self._index()
        backbone = self.spec, self.contract, self.weights
        used = calibration(index, self.options)
        self.source = MapSource(*backbone, self.options, self.watcher, used)
        self.clock.lap("audit")
        found = self._extract(index)
        self.clock.lap("decode_and_extract")
        rows = np.flatnonzero([split != TEST for split in found.index.splits])
        fits = self._fit(found, rows)
        self.clock.lap("heads")
        verdict = self._decide(found, fits)
        self.clock.lap("statistics")
        int8 = self._int8(found, rows, fits, verdict)
        self.clock.lap("precision")
        return self._finish(found, rows, fits, verdict, int8)

    def _index(self) -> ImageIndex:
        self.watcher.stage("Looking for images", 1)
        given = self.images
        index = given if isinstance(given, ImageIndex) else ImageIndex.from_directory(given)
        require_per_class(index, self.options.folds)
        self.watcher.advance(1, f"{len(index)} images, {len(index.classes)} classes")
        return index

    def _extract(self, index: ImageIndex) -> Extraction:
        tell = self.watcher.tell
        self.watcher.stage("Images through the backbone", len(index))
        found = self.source.maps(index)
        if found.computed == 0:
            tell(f"All {found.cached} feature maps were in the store: no backbone pass was needed.")
        elif found.cached:
            tell(f"{found.computed} images went through the backbone, {found.cached} were known.")
        if found.index.skipped:
            tell(f"{len(found.index.skipped)} files were skipped; results.json says which and why.")
        require_per_class(found.index, self.options.folds)
        return found

    def _fit(self, found: Extraction, rows: np.ndarray) -> _Fits:
        """Cross-validate every head on identical folds."""
        options = self.options
        labels = found.index.labels[rows]
        groups = self._copies([found.digests[row] for row in rows])
        self._leaks(found, rows)
        splits = make_splits(
            labels, folds=options.folds, repeats=options.rounds, seed=options.seed, groups=groups
        )
        problem = Problem(
            labels, len(found.index.classes), splits, quick=options.quick, seed=options.seed
        )
        poolings = tuple(dict.fromkeys(head.pooling for head in self.heads))
        pooled = PooledFeatures(found.maps.subset(rows), poolings)
        heads = self._suitable(pooled)
        features = [self.source.key, [found.digests[row] for row in rows]]
        ledger = Ledger(files.home() / "fits", features, problem)
        self.watcher.stage("Training heads", len(heads))
        results = []
        for number, head in enumerate(heads):
            progress = self._progress(number, head)
            progress(0.0)
            results.append(cross_validate(head, pooled, problem, progress, ledger))
        for line in (line for result in results for line in result.warnings):
            self.watcher.tell(line)
        return _Fits(problem, groups, results, [fold_metrics(r, problem) for r in results])

    def _progress(self, number: int, head: Head) -> Callable[[float], None]:
        return lambda done: self.watcher.advance(number + done, head.name)

    def _copies(self, digests: list[str]) -> np.ndarray | None:
        """Group identical files, so that one is never used to predict the other."""
        names, groups = np.unique(digests, return_inverse=True)
        if len(names) == len(digests):
            return None
        self.watcher.tell(
            f"{len(digests) - len(names)} files are copies of others; copies stay in one fold."
        )
        return np.asarray(groups)

    def _leaks(self, found: Extraction, rows: np.ndarray) -> None:
        """Say so if test images are also trained on: the test score is then too good."""
        trained = {found.digests[row] for row in rows}
        tested = np.delete(np.arange(len(found.index)), rows)
        leaked = [found.index.paths[row] for row in tested if found.digests[row] in trained]
        if leaked:
            self.watcher.tell(
                f"WARNING: {len(leaked)} test images are copies of training images, so the test "
                f"score is too good; the first: {leaked[0]}"
            )

    def _suitable(self, pooled: PooledFeatures) -> list[Head]:
        """Leave out default heads that these maps do not suit; refuse those that were asked for.

        Raises:
            UsageError: if a head that was asked for does not suit the maps.
        """
        _, *shape = pooled.maps.shape
        signed = any(head.pooling.nonnegative for head in self.heads) and pooled.lowest() < 0
        kept = []
        for head in self.heads:
            try:
                head.pooling.check((shape[0], shape[1], shape[2]))
                if signed and head.pooling.nonnegative:
                    raise UsageError(
                        f"Head {head.name} needs feature maps without negative values, and those "
                        f"of {self.spec.name} have some."
                    )
                kept.append(head)
            except UsageError as error:
                if self.options.heads is not None:
                    raise
                self.watcher.tell(f"Left out: {error}")
        return kept

    def _decide(self, found: Extraction, fits: _Fits) -> Verdict:
        self.watcher.stage("Statistics", 1)
        labels = fits.problem.labels
        correct = [(f.probabilities.argmax(axis=2) == labels).mean(axis=0) for f in fits.found]
        return conclude(
            [f.head.name for f in fits.found],
            np.stack([metrics["balanced_accuracy"] for metrics in fits.metrics]),
            [f.head.parameters(found.info.map_shape, fits.problem.classes) for f in fits.found],
            [f.head.position_aware for f in fits.found],
            np.stack(correct),
            labels,
            folds=self.options.folds,
            rope=self.options.rope,
            seed=self.options.seed,
            groups=fits.groups,
        )

    def _int8(
        self, found: Extraction, rows: np.ndarray, fits: _Fits, verdict: Verdict
    ) -> Int8Effect:
        """Measure what int8 changes, if it is in use."""
        if self.source.calibration is None:
            return Int8Effect(None, found.probe)
        self.watcher.stage("int8 against float32", 1)
        head = choose_head(verdict.recommended, fits.found, fits.metrics)
        recommended = head.name == verdict.recommended
        return int8_effect(
            self.source, found, rows, fits.problem, fits.groups, head, recommended=recommended
        )

    def _finish(
        self, found: Extraction, rows: np.ndarray, fits: _Fits, verdict: Verdict, int8: Int8Effect
    ) -> Study:
        """Refit the recommended head on all training images, and gather everything."""
        self.watcher.stage(f"Fitting {verdict.recommended} on all training images", 1)
        chosen = next(f for f in fits.found if f.head.name == verdict.recommended)
        fitted = chosen.refit()
        test = self._test(found, fitted)
        self.clock.lap("refit")
        results = {**self._results(found, fits, verdict, test), "precision": int8.described}
        blueprint = Blueprint(
            self.spec.name,
            self.weights,
            self.contract,
            fitted,
            found.index.classes,
            fitted.probabilities(int8.probe),
            version("headfit"),
        )
        return Study(
            verdict,
            results,
            found.index.subset(rows),
            chosen.probabilities.mean(axis=0),
            fits.problem.splits.assignment,
            blueprint,
        )

    def _test(self, found: Extraction, fitted: FittedHead) -> dict[str, Any] | None:
        """Score the recommended head on the test split, which nothing has seen until now."""
        rows = np.flatnonzero([split == TEST for split in found.index.splits])
        if not len(rows):
            return None
        labels = found.index.labels[rows]
        probabilities = fitted.probabilities_of(found.maps.subset(rows))
        known = {
            n: v if np.isfinite(v) else None for n, v in evaluate(probabilities, labels).items()
        }
        majority = int(np.bincount(labels).max())
        return {
            "head": fitted.head.name,
            "images": len(rows),
            "majority_accuracy": majority / len(rows),
            **known,
        }

    def _results(
        self, found: Extraction, fits: _Fits, verdict: Verdict, test: dict[str, Any] | None
    ) -> dict[str, Any]:
        index, info, classes = found.index, found.info, fits.problem.classes
        candidates = [
            candidate(
                f,
                metrics,
                fits.problem,
                backbone=self.spec.name,
                backbone_parameters=info.parameters,
                input_size=self.contract.width,
                map_shape=info.map_shape,
                latency_ms=found.latency_ms + latency_ms(f.head, info.map_shape, classes),
            )
            for f, metrics in zip(fits.found, fits.metrics, strict=True)
        ]
        skipped = [{"path": s.path, "reason": s.reason} for s in index.skipped]
        heads = [f.head for f in fits.found]
        folder = str(index.root)
        return {
            "schema": SCHEMA,
            "verdict": verdict.to_dict(),
            "candidates": candidates,
            "test": test,
            "images": {
                "found": len(index) + len(skipped),
                "used": len(index),
                "skipped": len(skipped),
                "cached": found.cached,
                "computed": found.computed,
                "classes": index.counts(),
            },
            "skipped": skipped,
            "timings": self.clock.total(),
            "settings": provenance.settings(
                self.options, folder, self.spec.name, self.contract, info, heads
            ),
            "fingerprint": provenance.fingerprint(found, self.contract),
        }
