"""Candidates of a comparison as plain data for ``results.json``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from headfit.fitting.problem import CrossValidation, Problem
from headfit.heads.pooling import MapShape
from headfit.study.comparison.compare import by_name, corrected_interval, or_none
from headfit.study.comparison.evidence import hits_of
from headfit.study.comparison.proportions import Range, exact_interval


def fold_metrics(fit: CrossValidation, problem: Problem) -> dict[str, np.ndarray]:
    """Score each held-out fold: metric name to float64 (repeats · folds,)."""
    rows = []
    for repeat, assignment in enumerate(problem.splits.assignment):
        for fold in range(problem.splits.folds):
            held = assignment == fold
            rows.append(problem.evaluate_part(fit.probabilities[repeat, held], held))
    return {name: np.array([row[name] for row in rows]) for name in problem.kind.metrics}


def floors(fit: CrossValidation, problem: Problem, groups: np.ndarray | None) -> dict[str, Range]:
    """Give the intervals that counts of images allow, by metric; see ``proportions``."""
    targets, kind, predicted = problem.targets, problem.kind, fit.probabilities
    hits = hits_of([predicted], problem, groups)
    if hits is None:
        return {}
    units = len(targets) if groups is None else len(np.unique(groups))
    independent = {"accuracy": units, "macro_f1": hits.independent, "micro_f1": hits.independent}
    shares = {
        name: float(
            np.mean([kind.metrics[name](p, targets.values, targets.weights) for p in predicted])
        )
        for name in independent
        if name in kind.metrics
    }
    least = {name: exact_interval(share, independent[name]) for name, share in shares.items()}
    return {kind.primary: hits.score(0), **least}


def candidate(
    fit: CrossValidation,
    metrics: dict[str, np.ndarray],
    least: dict[str, Range],
    problem: Problem,
    *,
    name: str,
    backbone: str,
    cut: str | None,
    backbone_parameters: int,
    input_size: int,
    map_shape: MapShape,
    latency_ms: float | None,
) -> dict[str, Any]:
    """Describe one backbone with one head: an element of ``candidates`` in ``results.json``.

    ``least`` are its :func:`floors`.
    """
    folds = problem.splits.folds
    head = fit.head.parameters(map_shape, problem.targets.count)
    gap = fit.train_scores - metrics[problem.kind.primary]
    return {
        "name": name,
        "head": fit.head.name,
        "backbone": backbone,
        "input_size": input_size,
        "cut": cut,
        "map_shape": list(map_shape),
        "linear": fit.head.linear,
        "position_aware": fit.head.position_aware,
        "parameters": {
            "head": head,
            "backbone": backbone_parameters,
            "total": head + backbone_parameters,
            **({"trained": head + fit.trained} if fit.trained else {}),
        },
        **{
            metric: score(values, folds, *problem.kind.bounds(metric), floor=least.get(metric))
            for metric, values in metrics.items()
        },
        "overfit_gap": score(gap, folds),
        "train_seconds": round(fit.seconds, 3),
        "latency_ms": None if latency_ms is None else round(latency_ms, 3),
        "choices": fit.choices,
        "final": fit.final,
    }


def mark_front(candidates: list[dict[str, Any]], metric: str = "balanced_accuracy") -> None:
    """Mark the candidates on the Pareto fronts.

    Args:
        candidates: each gets ``pareto`` {parameters, latency}: whether it is on the front of
            the metric against the parameters of the whole model, and against latency.
        metric: name of the primary metric.
    """
    scores = np.array([each[metric]["mean"] for each in candidates])
    costs = {
        "parameters": np.array([each["parameters"]["total"] for each in candidates], float),
        "latency": np.array([each["latency_ms"] or math.nan for each in candidates], float),
    }
    fronts = {name: on_front(scores, cost) for name, cost in costs.items()}
    for number, each in enumerate(candidates):
        each["pareto"] = {name: bool(front[number]) for name, front in fronts.items()}


def on_front(scores: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Find the candidates that no other beats: as good at less cost, or better at no more.

    Args:
        scores: float64 (m,), higher is better.
        costs: float64 (m,); nan for an unknown cost, which is never on the front.

    Returns:
        bool (m,).
    """
    better = (scores > scores[:, None]) & (costs <= costs[:, None])
    cheaper = (scores >= scores[:, None]) & (costs < costs[:, None])
    result: np.ndarray = ~(better | cheaper).any(axis=1) & ~np.isnan(costs)
    return result


def score(
    values: np.ndarray,
    folds: int,
    lower: float | None = None,
    upper: float | None = None,
    floor: Range | None = None,
) -> dict[str, Any]:
    """Give the mean, its 95 % interval and the value of every fold; None where undefined.

    Args:
        values: float64 (repeats · folds,).
        folds: number of folds of each repeat.
        lower: smallest possible value; the interval ends there.
        upper: largest possible value.
        floor: an interval that counts the images; the wider end decides.
    """
    interval = corrected_interval(values, folds, lower=lower, upper=upper, floor=floor)
    return {**by_name(interval), "folds": [or_none(value) for value in values.tolist()]}
