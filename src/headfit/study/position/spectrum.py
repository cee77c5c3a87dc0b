"""How much does *where* matter? Scores of the spatial priors from gap (τ = 1) to flatten (τ = 0).

A curve that is best at τ = 1 says that position carries nothing on these images, one that is best
at τ = 0 that Flatten earns its weights; a maximum between, that some position helps. Every τ is a
convex problem, solved exactly on the same folds, with its own nested choice of penalty.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.fitting.exact.penalties import choose
from headfit.fitting.metrics import balanced_accuracy, log_loss
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import Problem
from headfit.fitting.softmax import softmax
from headfit.heads.layers.flatten import FLATTEN
from headfit.heads.layers.gap import GAP
from headfit.heads.layers.spatial_prior import SPATIAL_PRIOR, TAUS
from headfit.heads.pooling import Pooling
from headfit.progress import SILENT, Progress
from headfit.study.comparison.compare import corrected_interval, paired_se

GRID = (1.0, *sorted(TAUS, reverse=True), 0.0)


@dataclass(frozen=True)
class Spectrum:
    """Scores of each τ on the folds of one repeat.

    Attributes:
        taus: from 1 (gap) to 0 (flatten).
        balanced_accuracy: float64 (taus, folds), fractions.
        log_loss: float64 (taus, folds), nats.
        images: how many took part.
    """

    taus: tuple[float, ...]
    balanced_accuracy: np.ndarray
    log_loss: np.ndarray
    images: int

    @property
    def best(self) -> float:
        """τ of the least log-loss."""
        return self.taus[int(self.log_loss.mean(axis=1).argmin())]

    @property
    def nearest_gap(self) -> float:
        """The largest τ within one standard error of the least log-loss."""
        means = self.log_loss.mean(axis=1)
        least = int(means.argmin())
        errors = paired_se(self.log_loss, self.log_loss.shape[1])[least]
        return self.taus[int(np.flatnonzero(means - means[least] <= errors)[0])]

    @property
    def flatten_is_as_good(self) -> bool:
        """Whether flatten is within one standard error of the least log-loss."""
        means = self.log_loss.mean(axis=1)
        least = int(means.argmin())
        errors = paired_se(self.log_loss, self.log_loss.shape[1])[least]
        return bool(means[-1] - means[least] <= errors[-1])

    def accuracy(self, tau: float) -> float:
        """Mean balanced accuracy at one of the τ, a fraction."""
        return float(self.balanced_accuracy[self.taus.index(tau)].mean())

    def _ahead(self, tau: float) -> np.ndarray:
        """Balanced accuracy at one of the τ less that of gap, float64 (folds,)."""
        found: np.ndarray = self.balanced_accuracy[self.taus.index(tau)] - self.balanced_accuracy[0]
        return found

    def to_dict(self) -> dict[str, Any]:
        """Give the curves as plain data."""
        points = zip(self.taus, self.balanced_accuracy, self.log_loss, strict=True)
        gap = self.balanced_accuracy[0]
        return {
            "images": self.images,
            "folds": self.log_loss.shape[1],
            "best": self.best,
            "nearest_gap": self.nearest_gap,
            "curve": [
                {
                    "tau": tau,
                    "balanced_accuracy": _interval(accuracy, upper=1.0),
                    "log_loss": _interval(loss),
                    "ahead_of_gap": _interval(accuracy - gap, lower=None),
                }
                for tau, accuracy, loss in points
            ],
        }

    def sentence(self) -> str:
        """Say in words what the curve shows."""
        gap, flatten = (f"{100 * self.accuracy(tau):.1f} %" for tau in (1.0, 0.0))
        low = corrected_interval(self._ahead(self.best), self.log_loss.shape[1])[1]
        start = f"Position {'matters' if low > 0 else 'may matter'}: "
        best = f"{100 * self.accuracy(self.best):.1f} %"
        if self.nearest_gap == 1.0:
            return (
                f"Position carries nothing that these images can show: between gap "
                f"({gap}) and flatten ({flatten}) no head is beyond one standard error of gap."
            )
        if self.best == 0.0:
            return (
                f"{start}from gap to flatten balanced accuracy goes from {gap} to {flatten}, and "
                f"log-loss is least at flatten itself."
            )
        verb = "is within" if self.flatten_is_as_good else "lies beyond"
        return (
            f"{start}balanced accuracy is {gap} with gap, {flatten} with flatten and {best} "
            f"between them (spatial_prior with τ = {self.best:g}), which has the least log-loss; "
            f"flatten {verb} one standard error of it."
        )


def spectrum(
    pooled: PooledFeatures,
    problem: Problem,
    known: Mapping[float, np.ndarray],
    progress: Progress = SILENT,
) -> Spectrum:
    """Score every τ on the folds of the first repeat.

    Args:
        pooled: features of the n images.
        problem: labels and folds.
        known: out-of-fold probabilities, float64 (n, K), of some τ on these folds.
        progress: reports the fraction done.
    """
    assignment = problem.splits.assignment[0]
    folds = range(problem.splits.folds)
    scores = np.empty((2, len(GRID), problem.splits.folds))
    for number, tau in enumerate(GRID):
        found = known.get(tau)
        if found is None:
            found = _out_of_fold(pooled, problem, *_pooling(tau))
        for fold in folds:
            held = assignment == fold
            given = found[held], problem.labels[held]
            scores[:, number, fold] = balanced_accuracy(*given), log_loss(*given)
        progress((number + 1) / len(GRID))
    return Spectrum(GRID, scores[0], scores[1], len(problem.labels))


def _pooling(tau: float) -> tuple[Pooling, float | None]:
    ends: dict[float, tuple[Pooling, float | None]] = {1.0: (GAP, None), 0.0: (FLATTEN, None)}
    return ends.get(tau, (SPATIAL_PRIOR, tau))


def _out_of_fold(
    pooled: PooledFeatures, problem: Problem, pooling: Pooling, shape: float | None
) -> np.ndarray:
    units = [(0, fold) for fold in range(problem.splits.folds)]
    choices = choose(pooled.coordinates(pooling, shape), problem, units)
    found = np.empty((len(problem.labels), problem.classes))
    for (_, fold), logits in zip(units, choices.logits, strict=True):
        held = problem.splits.assignment[0] == fold
        found[held] = softmax(logits[:, held].T.astype(np.float64))
    return found


def _interval(
    values: np.ndarray, lower: float | None = 0.0, upper: float | None = None
) -> dict[str, float | None]:
    found = corrected_interval(values, len(values), lower=lower, upper=upper)
    named = zip(("mean", "low", "high"), found, strict=True)
    return {name: value if math.isfinite(value) else None for name, value in named}
