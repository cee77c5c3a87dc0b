"""The numbers of a comparison as plain data: the content of ``results.json``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from headfit.backbones.engines.interface import JOIN
from headfit.fitting.fitted import FittedHead, latency_ms
from headfit.fitting.kinds import KINDS
from headfit.fitting.problem import CrossValidation, Problem
from headfit.report.text.summary import fit_warnings
from headfit.report.text.verdict import in_words
from headfit.runs import provenance
from headfit.runs.candidates import CandidateBackbone
from headfit.runs.grouping import Grouping
from headfit.runs.options import Options
from headfit.runs.study import SCHEMA
from headfit.study.comparison.results import candidate, mark_front
from headfit.study.comparison.verdict import HeadScores, Verdict, conclude

Row = tuple[CandidateBackbone, CrossValidation, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Comparison:
    """All heads on all backbones, cross-validated on identical folds.

    Attributes:
        backbones: all that take part.
        problem: labels and folds.
        options: settings.
        groups: which images belong together.
        balance: how much images and classes count, as it goes into results.
    """

    backbones: list[CandidateBackbone]
    problem: Problem
    options: Options
    groups: Grouping
    balance: dict[str, Any]

    def rows(self) -> list[Row]:
        """List every candidate: its backbone, its cross-validation, its scores."""
        return [
            (backbone, fit, metrics)
            for backbone in self.backbones
            for fit, metrics in zip(backbone.fits, backbone.metrics, strict=True)
        ]

    @property
    def several(self) -> bool:
        """Whether there is more than one place, so that names need theirs."""
        return len(self.places()) > 1

    def places(self) -> list[list[CandidateBackbone]]:
        """Gather those of one name: a backbone, and the same for heads on several layers."""
        by_name: dict[str, list[CandidateBackbone]] = {}
        for backbone in self.backbones:
            by_name.setdefault(backbone.name, []).append(backbone)
        return list(by_name.values())

    def one_layer(self, backbone: CandidateBackbone) -> CandidateBackbone:
        """Give the backbone of this name that holds the heads on one layer."""
        return next(each for each in self.backbones if each.name == backbone.name)

    def name(self, backbone: CandidateBackbone, fit: CrossValidation) -> str:
        """Name a candidate: the head, with its backbone where there are several."""
        return f"{backbone.name}/{fit.head.name}" if self.several else fit.head.name

    def recommended(self, verdict: Verdict) -> tuple[CandidateBackbone, CrossValidation]:
        """Find the recommended candidate."""
        return next((b, f) for b, f, _ in self.rows() if self.name(b, f) == verdict.recommended)

    def verdict(self) -> Verdict:
        """Compare all candidates."""
        rows, targets, kind = self.rows(), self.problem.targets, self.problem.kind
        decided = [kind.decide(fit.probabilities) for _, fit, _ in rows]
        correct = [(classes == targets.values).mean(axis=0) for classes in decided]
        sizes = [f.head.parameters(b.extraction.info.map_shape, targets.count) for b, f, _ in rows]
        conclusion = conclude(
            HeadScores(
                names=[self.name(b, f) for b, f, _ in rows],
                scores=np.stack([metrics[kind.primary] for *_, metrics in rows]),
                parameters=np.array(sizes),
                position_aware=[f.head.position_aware for _, f, _ in rows],
                folds=self.problem.splits.folds,
                images=len(targets),
                rope=self.options.rope,
                secondary={name: np.stack([m[name] for *_, m in rows]) for name in kind.secondary},
                families=[b.name for b, _, _ in rows] if self.several else None,
                costs=np.array(
                    [
                        b.extraction.info.parameters + s
                        for (b, _, _), s in zip(rows, sizes, strict=True)
                    ]
                ),
            ),
            np.stack(correct),
            targets.values,
            seed=self.options.seed,
            groups=self.groups.numbers,
            weights=targets.weights,
        )
        return in_words(conclusion)

    def results(self, verdict: Verdict) -> dict[str, Any]:
        """Gather everything but what is measured after the verdict."""
        chosen, _ = self.recommended(verdict)
        extraction = chosen.extraction
        index = extraction.index
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
                "cached": sum(each.extraction.cached for each in self.backbones),
                "computed": sum(each.extraction.computed for each in self.backbones),
                "classes": index.counts(),
                **self.balance,
            },
            "skipped": skipped,
            "groups": self.groups.facts,
            "settings": provenance.settings(self.options, self.backbones, chosen, self.problem),
            "fingerprint": provenance.fingerprint(extraction, chosen.source.contract),
        }

    def _candidate(
        self, backbone: CandidateBackbone, fit: CrossValidation, metrics: dict[str, np.ndarray]
    ) -> dict[str, Any]:
        info, classes = backbone.extraction.info, self.problem.targets.count
        head_ms = latency_ms(fit.head, info.map_shape, classes)
        row = candidate(
            fit,
            metrics,
            self.problem,
            name=self.name(backbone, fit),
            backbone=backbone.source.spec.name,
            cut=cut_of(backbone),
            backbone_parameters=info.parameters,
            input_size=backbone.source.contract.width,
            map_shape=info.map_shape,
            latency_ms=backbone.extraction.latency_ms + head_ms,
        )
        return {**row, "warnings": fit_warnings(fit.head.name, fit.notes)}

    def _backbone(self, place: list[CandidateBackbone]) -> dict[str, Any]:
        """Describe one place and, if there are others, the verdict on it alone."""
        backbone = place[0]
        info = backbone.extraction.info
        alone = replace(self, backbones=place)
        return {
            "name": backbone.name,
            "backbone": backbone.source.spec.name,
            "cut": cut_of(backbone),
            "weights": backbone.source.weights,
            "input_size": backbone.source.contract.width,
            "map_shape": list(info.map_shape),
            "parameters": info.parameters,
            "latency_ms": round(backbone.extraction.latency_ms, 3),
            "engine": info.to_dict(),
            "verdict": alone.verdict().to_dict() if self.several else None,
        }


def cut_of(backbone: CandidateBackbone) -> str | None:
    """Say where the backbone ends, by the names of layers; None for its own end."""
    return JOIN.join(backbone.extraction.info.layers) or backbone.source.cut or None


def score_test(backbone: CandidateBackbone, fitted: FittedHead) -> dict[str, Any] | None:
    """Score a head on the test split, which nothing has seen until now; None if there is none."""
    index = backbone.extraction.index
    rows = index.test
    if not len(rows):
        return None
    targets = index.targets.subset(rows)
    maps = backbone.extraction.maps.subset(rows)
    predictions = fitted.probabilities_of(maps)
    scores = KINDS[targets.kind].evaluate(predictions, targets.values, targets.weights)
    return {
        "head": fitted.head.name,
        "images": len(rows),
        "majority_accuracy": max(targets.counts().values()) / len(rows),
        **{name: value if np.isfinite(value) else None for name, value in scores.items()},
    }
