"""Scores spatial priors from gap (τ = 1) to flatten (τ = 0): how much does *where* matter?

If the curve is best at τ = 1, position does not help on these images; if at τ = 0, Flatten is worth
its weights; if in between, some position helps. Every τ is a convex problem, solved exactly on the
same folds, with its own nested choice of penalty.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

from headfit.fitting.exact.nested import choose
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import Problem
from headfit.heads.layers.plain import FLATTEN, GAP
from headfit.heads.layers.spatial_prior import SPATIAL_PRIOR, TAUS
from headfit.heads.pooling import Pooling
from headfit.progress import SILENT, Progress
from headfit.study.comparison.compare import by_name, corrected_interval, holm, paired_se
from headfit.study.comparison.contrast import ALPHA

GRID = (1.0, *sorted(TAUS, reverse=True), 0.0)


@dataclass(frozen=True)
class Spectrum:
    """Scores of each τ on the folds of one repeat.

    Attributes:
        taus: from 1 (gap) to 0 (flatten).
        scores: float64 (taus, folds), the primary metric.
        losses: float64 (taus, folds), of which less is better.
        images: number of images.
        metric: name of the primary metric.
        loss: name of the loss.
        bounds: least and greatest value of the primary metric; None where there is none.
    """

    taus: tuple[float, ...]
    scores: np.ndarray
    losses: np.ndarray
    images: int
    metric: str = "balanced_accuracy"
    loss: str = "log_loss"
    bounds: tuple[float | None, float | None] = (0.0, 1.0)

    @property
    def best(self) -> float:
        """The τ with the lowest loss."""
        return self.taus[int(self.losses.mean(axis=1).argmin())]

    @property
    def nearest_gap(self) -> float:
        """The largest τ within one standard error of the lowest loss."""
        means = self.losses.mean(axis=1)
        least = int(means.argmin())
        errors = paired_se(self.losses, self.losses.shape[1])[least]
        return self.taus[int(np.flatnonzero(means - means[least] <= errors)[0])]

    def to_dict(self) -> dict[str, Any]:
        """Give the curves as plain data."""
        points = zip(self.taus, self.scores, self.losses, strict=True)
        gap, lower = self.scores[0], self.bounds[0]
        return {
            "images": self.images,
            "folds": self.losses.shape[1],
            "best": self.best,
            "nearest_gap": self.nearest_gap,
            "curve": [
                {
                    "tau": tau,
                    self.metric: _interval(score, lower, self.bounds[1]),
                    self.loss: _interval(loss),
                    "ahead_of_gap": _interval(score - gap, lower=None),
                }
                for tau, score, loss in points
            ],
        }


def leading_prior(spectrum: Mapping[str, Any]) -> dict[str, Any] | None:
    """Find the strength of the prior that beats gap beyond noise, by the test of the verdict.

    The corrected resampled t-test on the primary metric, with Holm's correction over all τ below 1.
    Flatten itself (τ = 0) is left to the verdict, which has more repeats.

    Args:
        spectrum: what :meth:`Spectrum.to_dict` gives.

    Returns:
        The point of the curve with the largest lead among those that pass; None if none does.
    """
    points, df = spectrum["curve"][1:], spectrum["folds"] - 1
    quantile = float(stdtrit(df, 0.975))
    p_values = []
    for lead in (point["ahead_of_gap"] for point in points):
        se = math.nan if lead["high"] is None else (lead["high"] - lead["mean"]) / quantile
        p_values.append(2 * float(stdtr(df, -abs(lead["mean"]) / se)) if se > 0 else math.nan)
    passing = [
        point
        for point, p in zip(points[:-1], holm(np.array(p_values))[:-1], strict=True)
        if p < ALPHA and point["ahead_of_gap"]["mean"] > 0
    ]
    return max(passing, key=lambda point: float(point["ahead_of_gap"]["mean"]), default=None)


def spectrum(
    pooled: PooledFeatures,
    problem: Problem,
    probabilities: Mapping[float, np.ndarray],
    progress: Progress = SILENT,
) -> Spectrum:
    """Score every τ on the folds of the first repeat.

    Args:
        pooled: features of the n images.
        problem: labels and folds.
        probabilities: out-of-fold probabilities, float64 (n, K), of τ that were fitted before on
            these folds.
        progress: reports the fraction done.
    """
    assignment = problem.splits.assignment[0]
    folds, kind = range(problem.splits.folds), problem.kind
    scores = np.empty((2, len(GRID), problem.splits.folds))
    for number, tau in enumerate(GRID):
        predicted = probabilities.get(tau)
        if predicted is None:
            predicted = _out_of_fold(pooled, problem, *_pooling(tau))
        for fold in folds:
            held = assignment == fold
            found = problem.evaluate_part(predicted[held], held)
            scores[:, number, fold] = found[kind.primary], found[kind.secondary[0]]
        progress((number + 1) / len(GRID))
    metric, loss = kind.primary, kind.secondary[0]
    bounds = kind.bounds(metric)
    return Spectrum(GRID, scores[0], scores[1], len(problem.targets), metric, loss, bounds)


def _pooling(tau: float) -> tuple[Pooling, float | None]:
    ends: dict[float, tuple[Pooling, float | None]] = {1.0: (GAP, None), 0.0: (FLATTEN, None)}
    return ends.get(tau, (SPATIAL_PRIOR, tau))


def _out_of_fold(
    pooled: PooledFeatures, problem: Problem, pooling: Pooling, shape: float | None
) -> np.ndarray:
    units = [(0, fold) for fold in range(problem.splits.folds)]
    choices = choose(pooled.coordinates(pooling, shape), problem, units)
    probabilities = np.empty((len(problem.targets), problem.targets.count))
    for (_, fold), logits in zip(units, choices.scores, strict=True):
        held = problem.splits.assignment[0] == fold
        probabilities[held] = problem.kind.link(logits[:, held].T.astype(np.float64))
    return probabilities


def _interval(
    values: np.ndarray, lower: float | None = 0.0, upper: float | None = None
) -> dict[str, float | None]:
    return by_name(corrected_interval(values, len(values), lower=lower, upper=upper))
