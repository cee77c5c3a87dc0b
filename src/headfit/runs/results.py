"""The numbers of a comparison as plain data: the content of ``results.json``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from headfit.backbones.engines.interface import JOIN
from headfit.fitting.fitted import FittedHead, latency_ms
from headfit.fitting.kinds import KINDS
from headfit.fitting.problem import CrossValidation, Problem
from headfit.images.targets import CLASS, Targets
from headfit.progress import HeadScore
from headfit.report.text.summary import fit_warnings
from headfit.report.text.verdict import in_words
from headfit.runs import provenance
from headfit.runs.candidates import CandidateBackbone
from headfit.runs.grouping import Grouping
from headfit.runs.options import Options
from headfit.runs.study import SCHEMA
from headfit.study.comparison.contrast import HeadScores, p_values_beside
from headfit.study.comparison.evidence import hits_in, hits_of, weighted_scores
from headfit.study.comparison.proportions import Range, exact_interval
from headfit.study.comparison.results import (
    candidate,
    floors,
    fold_metrics,
    mark_front,
    score,
)
from headfit.study.comparison.verdict import Verdict, conclude
from headfit.study.reliability.confidence import calibration_error

BOOTSTRAPS = 1000
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
        return f"{backbone.name}/{fit.name}" if self.several else fit.name

    def recommended(self, verdict: Verdict) -> tuple[CandidateBackbone, CrossValidation]:
        """Find the recommended candidate."""
        return next((b, f) for b, f, _ in self.rows() if self.name(b, f) == verdict.recommended)

    def verdict(self) -> Verdict:
        """Compare all candidates."""
        return in_words(conclude(self.scores, self.problem.targets, seed=self.options.seed))

    @cached_property
    def scores(self) -> HeadScores:
        """Gather what a verdict rests on."""
        rows, targets, kind = self.rows(), self.problem.targets, self.problem.kind
        predictions = [fit.probabilities for _, fit, _ in rows]
        sizes = [
            f.head.parameters(b.extraction.info.map_shape, targets.count) + f.trained
            for b, f, _ in rows
        ]
        whole = [b.extraction.info.parameters + s for (b, *_), s in zip(rows, sizes, strict=True)]
        groups = self.groups.numbers
        return HeadScores(
            names=[self.name(b, f) for b, f, _ in rows],
            scores=np.stack([metrics[kind.primary] for *_, metrics in rows]),
            parameters=np.array(sizes),
            position_aware=[f.head.position_aware for _, f, _ in rows],
            folds=self.problem.splits.folds,
            images=len(targets),
            rope=self.options.rope,
            secondary={name: np.stack([m[name] for *_, m in rows]) for name in kind.secondary},
            families=[b.name for b, _, _ in rows] if self.several else None,
            costs=np.array(whole),
            hits=hits_of(predictions, self.problem, groups),
            metric=kind.primary,
            groups=groups,
            weighted=weighted_scores(predictions, self.problem),
            bounds=kind.bounds(kind.primary),
            overlap=kind.overlap,
        )

    def results(self, verdict: Verdict) -> dict[str, Any]:
        """Gather everything but what is measured after the verdict."""
        chosen, _ = self.recommended(verdict)
        extraction = chosen.extraction
        index = extraction.index
        skipped = [{"path": s.path, "reason": s.reason} for s in index.skipped]
        least = [each for backbone in self.backbones for each in backbone.floors]
        candidates = [
            self._candidate(*row, each) for row, each in zip(self.rows(), least, strict=True)
        ]
        mark_front(candidates, self.problem.kind.primary)
        targets = self.problem.targets
        return {
            "schema": SCHEMA,
            "targets": {"kind": targets.kind, "names": list(targets.names)},
            "verdict": verdict.to_dict(),
            "candidates": candidates,
            "backbones": self._backbones(),
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

    def more_candidates(
        self, fits: Sequence[tuple[CandidateBackbone, CrossValidation]]
    ) -> list[dict[str, Any]]:
        """Describe rows that take no part in the verdict, each with its backbone."""
        groups, rows = self.groups.numbers, []
        for backbone, fit in fits:
            metrics, least = fold_metrics(fit, self.problem), floors(fit, self.problem, groups)
            rows.append(self._candidate(backbone, fit, metrics, least))
            rows[-1]["pareto"] = {"parameters": False, "latency": False}
        return rows

    def _candidate(
        self,
        backbone: CandidateBackbone,
        fit: CrossValidation,
        metrics: dict[str, np.ndarray],
        least: dict[str, Range],
    ) -> dict[str, Any]:
        info, classes = backbone.extraction.info, self.problem.targets.count
        head_ms = latency_ms(fit.head, info.map_shape, classes)
        row = candidate(
            fit,
            metrics,
            least,
            self.problem,
            name=self.name(backbone, fit),
            backbone=backbone.source.spec.name,
            cut=cut_of(backbone),
            backbone_parameters=info.parameters,
            input_size=backbone.source.contract.width,
            map_shape=info.map_shape,
            latency_ms=backbone.extraction.latency_ms + head_ms,
        )
        return {
            **row,
            **self._calibration(fit),
            "warnings": fit_warnings(fit.head.name, fit.notes),
        }

    def _calibration(self, fit: CrossValidation) -> dict[str, Any]:
        """Measure the calibration error, where predictions are probabilities of one class."""
        targets, groups, seed = self.problem.targets, self.groups.numbers, self.problem.seed
        if targets.kind != CLASS:
            return {}
        error = calibration_error(
            fit.probabilities, targets.values, groups, targets.weights, seed=seed
        )
        return {"ece": asdict(error)}

    def _backbones(self) -> list[dict[str, Any]]:
        """Describe each place and, if there are several, its own verdict; Holm over all of them."""
        if not self.several:
            return [self._backbone(self.backbones[0], None)]
        parts, targets, seed = self.scores.by_backbone(), self.problem.targets, self.options.seed
        beside = p_values_beside(parts)
        verdicts = {
            home: in_words(conclude(part, targets, seed=seed, beside=beside[home]))
            for home, part in parts.items()
        }
        return [self._backbone(place[0], verdicts[place[0].name]) for place in self.places()]

    def _backbone(self, backbone: CandidateBackbone, verdict: Verdict | None) -> dict[str, Any]:
        """Describe one place and the verdict on it."""
        info = backbone.extraction.info
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
            "verdict": verdict and verdict.to_dict(),
        }


def head_score(
    backbone: CandidateBackbone,
    problem: Problem,
    place: str,
    fit: CrossValidation,
    metrics: dict[str, np.ndarray],
    least: dict[str, Range],
) -> HeadScore:
    """Sum up a head that was cross-validated; ``place`` comes before its name."""
    folds = problem.splits.folds
    main, loss = (
        score(metrics[name], folds, *problem.kind.bounds(name), floor=least.get(name))
        for name in (problem.kind.primary, problem.kind.secondary[0])
    )
    size = fit.head.parameters(backbone.extraction.info.map_shape, problem.targets.count)
    name, metric = f"{place}{fit.name}", problem.kind.primary
    return HeadScore(name, main, loss, size + fit.trained, fit.seconds, metric)


def cut_of(backbone: CandidateBackbone) -> str | None:
    """Say where the backbone ends, by the names of layers; None for its own end."""
    return JOIN.join(backbone.extraction.info.layers) or backbone.source.cut or None


def score_test(backbone: CandidateBackbone, fitted: FittedHead) -> dict[str, Any] | None:
    """Score a head on the test split, which nothing has seen until now; None if there is none."""
    index = backbone.extraction.index
    rows = index.test
    if not len(rows):
        return None
    predictions = fitted.probabilities_of(backbone.extraction.maps.subset(rows))
    return score_predictions(fitted.head.name, predictions, index.targets.subset(rows))


def score_predictions(head: str, predictions: np.ndarray, targets: Targets) -> dict[str, Any]:
    """Score predictions of the test split.

    Args:
        head: name of what made them.
        predictions: probabilities, float64 (m, K).
        targets: of the m images.
    """
    scored = KINDS[targets.kind]
    scores = scored.evaluate(predictions, targets.values, targets.weights)
    hits = hits_in([predictions[None]], targets, np.zeros((1, len(targets)), int))
    intervals = {scored.primary: hits.score(0) if hits else _bootstrapped(predictions, targets)}
    if targets.kind == CLASS:
        intervals["accuracy"] = exact_interval(scores["accuracy"], len(targets))
    return {
        "head": head,
        "images": len(targets),
        "intervals": {
            name: dict(zip(("low", "high"), ends, strict=True)) for name, ends in intervals.items()
        },
        **_majority(targets),
        **{name: value if np.isfinite(value) else None for name, value in scores.items()},
    }


def _majority(targets: Targets) -> dict[str, float]:
    """Give the accuracy of always naming the largest class, where images have one."""
    if targets.kind != CLASS:
        return {}
    return {"majority_accuracy": max(targets.counts().values()) / len(targets)}


def _bootstrapped(predictions: np.ndarray, targets: Targets) -> Range:
    """Give an interval of the primary metric: quantiles over images drawn with replacement."""
    n, kind, rng = len(targets), KINDS[targets.kind], np.random.default_rng(0)
    counts = rng.multinomial(n, np.full(n, 1 / n), size=BOOTSTRAPS).astype(np.float64)
    if targets.weights is not None:
        counts *= targets.weights
    drawn = kind.weighted(predictions, targets.values, counts)
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return float(low), float(high)
