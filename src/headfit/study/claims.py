"""What common mistakes of evaluation would have claimed, minus the honest score.

All on the same images, with the same number of folds, in the primary metric:

- *tuning*: the penalty, or the learning rate and the number of epochs, chosen on the scored fold.
- *groups*: images that belong together, such as copies, dealt into different folds.
- *selection*: the best of all heads, quoted with the score that it was chosen by.

The honest score is that of the study: settings chosen inside each training fold, groups together,
the choice of head corrected for. Only the first repeat is used: more repeats would hardly narrow
the intervals, because folds of one repeat share most of their training images already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from headfit.fitting.exact.grid import predictions_at_each
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import CrossValidation, Problem
from headfit.images.targets import NUMBER
from headfit.progress import SILENT, Progress
from headfit.study.comparison.compare import Floats, Ints, corrected_t, or_none
from headfit.study.comparison.selection import optimism
from headfit.study.protocol.splits import make_splits

_ANY_ROPE = 0.01  # no probability is taken from the test


@dataclass(frozen=True)
class Claim:
    """A score that a mistake would have claimed, and the honest one.

    Attributes:
        claimed: the score with the mistake.
        honest: the score without it.
        low: lower end of the 95 % interval of ``inflation``; nan where folds show no noise.
        high: upper end.
    """

    claimed: float
    honest: float
    low: float
    high: float

    @property
    def inflation(self) -> float:
        """Claimed minus honest, in the unit of the metric: 0.01 is one point."""
        return self.claimed - self.honest

    def to_dict(self) -> dict[str, float | None]:
        """Give plain data for JSON."""
        names = ("claimed", "honest", "inflation", "low", "high")
        return {name: or_none(getattr(self, name)) for name in names}


def first_repeat(problem: Problem) -> Problem:
    """Give the problem with the folds of its first repeat alone."""
    splits = problem.splits
    return replace(problem, splits=replace(splits, repeats=1, assignment=splits.assignment[:1]))


def ungrouped(problem: Problem) -> Problem:
    """Give the first repeat with folds that are dealt as if no images belonged together."""
    splits, targets = problem.splits, problem.targets
    dealt = make_splits(
        targets.strata,
        folds=splits.folds,
        repeats=1,
        seed=splits.seed,
        fewest=1,
        names=targets.names,
        required=targets.kind != NUMBER,
    )
    return replace(problem, splits=dealt)


def tuning(
    fit: CrossValidation, pooled: PooledFeatures, problem: Problem, progress: Progress = SILENT
) -> dict[str, Claim]:
    """Choose settings by the scores that are then quoted.

    Args:
        fit: the honest cross-validation of the head.
        pooled: features of the images.
        problem: of the study.
        progress: reports the fraction done.

    Returns:
        ``fold``: for each fold the settings that are best on it; ``overall``: the same settings for
        all folds, those that are best on average. A setting is a penalty, or a number of epochs
        of one of the trials.
    """
    part = first_repeat(problem)
    folds, overlap = part.splits.folds, part.kind.overlap
    shapes = [choice["shape"] for choice in fit.choices[:folds]]
    every = _predictions(fit, pooled, part, shapes, progress)
    scores = np.stack([fold_scores(each, part) for each in every if np.isfinite(each).all()])
    honest = fold_scores(fit.probabilities[:1], part)
    overall = scores[scores.mean(axis=1).argmax()]
    return {
        "fold": _claim(scores.max(axis=0), honest, folds, overlap),
        "overall": _claim(overall, honest, folds, overlap),
    }


def _predictions(
    fit: CrossValidation,
    pooled: PooledFeatures,
    problem: Problem,
    shapes: list[float | None],
    progress: Progress,
) -> np.ndarray:
    """Predict the images that each fold holds out, with all settings: (settings, 1, n, K)."""
    if fit.head.linear:
        return predictions_at_each(fit.head.pooling, pooled, problem, shapes, progress)
    from headfit.fitting.descent import grid  # noqa: PLC0415

    return grid.predictions_at_each(fit.head, pooled, problem, shapes, progress)


def groups_apart(fit: CrossValidation, apart: CrossValidation, problem: Problem) -> Claim:
    """Deal images that belong together into different folds.

    Args:
        fit: the honest cross-validation of a head.
        apart: that of the same head on the folds of :func:`ungrouped`.
        problem: of the study. Both are scored on the parts that its folds are, so that each part
            holds the same images.
    """
    part = first_repeat(problem)
    honest, claimed = (fold_scores(each.probabilities[:1], part) for each in (fit, apart))
    return _claim(claimed, honest, part.splits.folds, part.kind.overlap)


def selection(
    score: Callable[[Floats], Floats],
    problem: Problem,
    groups: Ints | None,
    *,
    bootstraps: int = 1000,
) -> Claim:
    """Quote the score of the best head, which it was chosen by.

    The honest score is that of BBC-CV; the interval is over its bags.

    Args:
        score: see :func:`headfit.study.comparison.selection.expected_score`.
        problem: of the study.
        groups: int (n,), equal for images that belong together; None if each stands alone.
        bootstraps: number of bags.
    """
    claimed, (mean, low, high) = optimism(
        score,
        len(problem.targets),
        seed=problem.seed,
        bootstraps=bootstraps,
        groups=groups,
        weights=problem.targets.weights,
    )
    return Claim(claimed, claimed - mean, low, high)


def _claim(claimed: Floats, honest: Floats, folds: int, overlap: float) -> Claim:
    found = corrected_t(claimed - honest, folds, _ANY_ROPE, overlap=overlap)
    return Claim(float(claimed.mean()), float(honest.mean()), found.low, found.high)


def fold_scores(predictions: Floats, problem: Problem) -> Floats:
    """Score each part that a fold holds out: float64 (repeats · folds,)."""
    return np.array(
        [
            problem.score_part(predictions[repeat, held], held)
            for repeat, fold in problem.splits.units
            for held in (problem.splits.held_out(repeat, fold),)
        ]
    )


def to_dict(claims: dict[str, Claim]) -> dict[str, Any]:
    """Give plain data for JSON."""
    return {name: claim.to_dict() for name, claim in claims.items()}
