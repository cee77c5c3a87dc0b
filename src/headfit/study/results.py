"""Numbers of a study as plain data: the content of ``results.json``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from headfit.heads.pooling import MapShape
from headfit.study.compare import corrected_interval
from headfit.study.crossval import CrossValidation
from headfit.study.metrics import METRICS, evaluate
from headfit.study.problem import Problem

# metrics without an upper bound
_UNBOUNDED = {"log_loss"}
_UPPER = {"brier": 2.0}


def fold_metrics(found: CrossValidation, problem: Problem) -> dict[str, np.ndarray]:
    """Score each held-out fold: metric name to float64 (repeats · folds,)."""
    rows = []
    for repeat, assignment in enumerate(problem.splits.assignment):
        for fold in range(problem.splits.folds):
            held = assignment == fold
            rows.append(evaluate(found.probabilities[repeat, held], problem.labels[held]))
    return {name: np.array([row[name] for row in rows]) for name in METRICS}


def candidate(
    found: CrossValidation,
    metrics: dict[str, np.ndarray],
    problem: Problem,
    *,
    backbone: str,
    backbone_parameters: int,
    input_size: int,
    map_shape: MapShape,
    latency_ms: float | None,
) -> dict[str, Any]:
    """Describe one backbone with one head; see ``candidates`` in the interface."""
    folds = problem.splits.folds
    head = found.head.parameters(map_shape, problem.classes)
    gap = found.train_scores - metrics["balanced_accuracy"]
    return {
        "name": found.head.name,
        "head": found.head.name,
        "backbone": backbone,
        "input_size": input_size,
        "cut": None,
        "map_shape": list(map_shape),
        "linear": found.head.linear,
        "position_aware": found.head.position_aware,
        "parameters": {
            "head": head,
            "backbone": backbone_parameters,
            "total": head + backbone_parameters,
        },
        **{name: score(values, folds, name) for name, values in metrics.items()},
        "overfit_gap": score(gap, folds, "overfit_gap"),
        "train_seconds": round(found.seconds, 3),
        "latency_ms": None if latency_ms is None else round(latency_ms, 3),
        "choices": found.choices,
        "final": found.final,
        "warnings": found.warnings,
    }


def score(values: np.ndarray, folds: int, name: str) -> dict[str, Any]:
    """Give mean, 95 % interval and the value of every fold; None for what is undefined."""
    lower = None if name == "overfit_gap" else 0.0
    upper = None if name == "overfit_gap" or name in _UNBOUNDED else _UPPER.get(name, 1.0)
    mean, low, high = corrected_interval(values, folds, lower=lower, upper=upper)
    return {
        "mean": _number(mean),
        "low": _number(low),
        "high": _number(high),
        "folds": [_number(value) for value in values.tolist()],
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
