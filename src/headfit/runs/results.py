"""The numbers of a comparison as plain data: the content of ``results.json``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.backbones.engines.interface import JOIN
from headfit.fitting.fitted import FittedHead, latency_ms
from headfit.fitting.metrics import evaluate
from headfit.fitting.problem import CrossValidation, Problem
from headfit.images.index import TEST
from headfit.report.text.verdict import in_words
from headfit.runs import provenance
from headfit.runs.candidates import Entry
from headfit.runs.grouping import Grouping
from headfit.runs.options import Options
from headfit.runs.study import SCHEMA
from headfit.study.comparison.contrast import HeadScores
from headfit.study.comparison.results import candidate, mark_front
from headfit.study.comparison.verdict import Verdict, conclude

PRIMARY, SECONDARY = "balanced_accuracy", ("log_loss", "brier")
Row = tuple[Entry, CrossValidation, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Outcome:
    """All heads on all backbones, trained on identical folds.

    Attributes:
        entries: the backbones.
        problem: labels and folds.
        options: settings.
        groups: which images belong together.
    """

    entries: list[Entry]
    problem: Problem
    options: Options
    groups: Grouping

    def rows(self) -> list[Row]:
        """List every candidate: its backbone, its cross-validation, its scores."""
        return [
            (entry, fit, metrics)
            for entry in self.entries
            for fit, metrics in zip(entry.fits, entry.metrics, strict=True)
        ]

    @property
    def several(self) -> bool:
        """Whether there is more than one place, so that names need theirs."""
        return len(self.places()) > 1

    def places(self) -> list[list[Entry]]:
        """Gather what has one name: a backbone, and what is there for heads on several layers."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            found.setdefault(entry.name, []).append(entry)
        return list(found.values())

    def beside(self, entry: Entry) -> Entry:
        """Give the entry that holds the heads on one layer, next to this one or this one itself."""
        return next(other for other in self.entries if other.name == entry.name)

    def name(self, entry: Entry, fit: CrossValidation) -> str:
        """Name a candidate."""
        return f"{entry.name}/{fit.head.name}" if self.several else fit.head.name

    def recommended(self, verdict: Verdict) -> tuple[Entry, CrossValidation]:
        """Find the recommended candidate."""
        return next((e, f) for e, f, _ in self.rows() if self.name(e, f) == verdict.recommended)

    def verdict(self) -> Verdict:
        """Compare all candidates."""
        rows, labels, classes = self.rows(), self.problem.labels, self.problem.classes
        correct = [(f.probabilities.argmax(axis=2) == labels).mean(axis=0) for _, f, _ in rows]
        sizes = [f.head.parameters(e.found.info.map_shape, classes) for e, f, _ in rows]
        conclusion = conclude(
            HeadScores(
                names=[self.name(e, f) for e, f, _ in rows],
                scores=np.stack([metrics[PRIMARY] for *_, metrics in rows]),
                parameters=np.array(sizes),
                position_aware=[f.head.position_aware for _, f, _ in rows],
                folds=self.problem.splits.folds,
                images=len(labels),
                rope=self.options.rope,
                secondary={name: np.stack([m[name] for *_, m in rows]) for name in SECONDARY},
                families=[e.name for e, _, _ in rows] if self.several else None,
                costs=np.array(
                    [e.found.info.parameters + s for (e, _, _), s in zip(rows, sizes, strict=True)]
                ),
            ),
            np.stack(correct),
            labels,
            seed=self.options.seed,
            groups=self.groups.numbers,
        )
        return in_words(conclusion)

    def results(self, verdict: Verdict) -> dict[str, Any]:
        """Gather everything but what is measured after the verdict."""
        home, _ = self.recommended(verdict)
        index = home.found.index
        skipped = [{"path": s.path, "reason": s.reason} for s in index.skipped]
        candidates = [self._candidate(*row) for row in self.rows()]
        mark_front(candidates)
        return {
            "schema": SCHEMA,
            "verdict": verdict.to_dict(),
            "candidates": candidates,
            "backbones": [self._backbone(place) for place in self.places()],
            "images": {
                "found": len(index) + len(skipped),
                "used": len(index),
                "skipped": len(skipped),
                "cached": sum(entry.found.cached for entry in self.entries),
                "computed": sum(entry.found.computed for entry in self.entries),
                "classes": index.counts(),
            },
            "skipped": skipped,
            "groups": self.groups.facts,
            "settings": provenance.settings(self.options, self.entries, home, self.problem),
            "fingerprint": provenance.fingerprint(home.found, home.source.contract),
        }

    def _candidate(
        self, entry: Entry, fit: CrossValidation, metrics: dict[str, np.ndarray]
    ) -> dict[str, Any]:
        info, classes = entry.found.info, self.problem.classes
        return candidate(
            fit,
            metrics,
            self.problem,
            name=self.name(entry, fit),
            backbone=entry.source.spec.name,
            cut=cut_of(entry),
            backbone_parameters=info.parameters,
            input_size=entry.source.contract.width,
            map_shape=info.map_shape,
            latency_ms=entry.found.latency_ms + latency_ms(fit.head, info.map_shape, classes),
        )

    def _backbone(self, place: list[Entry]) -> dict[str, Any]:
        """What is found at one place, and, if there are others, by itself alone."""
        entry = place[0]
        info = entry.found.info
        alone = Outcome(place, self.problem, self.options, self.groups)
        return {
            "name": entry.name,
            "backbone": entry.source.spec.name,
            "cut": cut_of(entry),
            "weights": entry.source.weights,
            "input_size": entry.source.contract.width,
            "map_shape": list(info.map_shape),
            "parameters": info.parameters,
            "latency_ms": round(entry.found.latency_ms, 3),
            "engine": info.to_dict(),
            "verdict": alone.verdict().to_dict() if self.several else None,
        }


def cut_of(entry: Entry) -> str | None:
    """Say where the backbone ends, by the names of layers; None for its own end."""
    return JOIN.join(entry.found.info.layers) or entry.source.cut or None


def score_test(entry: Entry, fitted: FittedHead) -> dict[str, Any] | None:
    """Score a head on the test split, which nothing has seen until now; None if there is none."""
    index = entry.found.index
    rows = np.flatnonzero([split == TEST for split in index.splits])
    if not len(rows):
        return None
    labels = index.labels[rows]
    scores = evaluate(fitted.probabilities_of(entry.found.maps.subset(rows)), labels)
    return {
        "head": fitted.head.name,
        "images": len(rows),
        "majority_accuracy": int(np.bincount(labels).max()) / len(rows),
        **{name: value if np.isfinite(value) else None for name, value in scores.items()},
    }
