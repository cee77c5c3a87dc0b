"""Which head to choose, and what score to expect of the chosen one."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from headfit.study.comparison.compare import ROUNDING, Floats, Interval, Ints, paired_se

_BOOTSTRAPS_AT_ONCE = 100
OUTSIDE = math.exp(-1)  # share of the images that a bag leaves out


def cheapest_within_one_se(scores: Floats, parameters: Ints, folds: int) -> int:
    """Choose the head with the fewest parameters among those with d̄(best − h) <= SE(best − h).

    Args:
        scores: float64 (heads, repeats·folds), higher is better.
        parameters: int (heads,).
        folds: k of the cross-validation.

    Returns:
        Its index. Of equal counts the higher score wins, then the earlier head.
    """
    return int(_choose(scores.mean(axis=1)[None], parameters, paired_se(scores, folds))[0])


def expected_score(
    correct: Floats,
    labels: Ints,
    parameters: Ints,
    *,
    seed: int,
    bootstraps: int = 1000,
    groups: Ints | None = None,
    margins: Floats | None = None,
    weights: Floats | None = None,
) -> Interval:
    """Balanced accuracy to expect of the chosen head, corrected for having chosen it: BBC-CV.

    The best of several heads looks better than it is. So the choice is re-run in each bootstrap
    bag of out-of-fold predictions, and the head chosen is scored on the images outside the bag
    (Tsamardinos 2018). No head is trained again.

    Args:
        correct: float64 (heads, n), share of the repeats that got an image right out of fold.
        labels: int (n,).
        parameters: int (heads,).
        seed: of the bootstrap.
        bootstraps: number of bags.
        groups: int (n,), drawn and left out as wholes; default: each image on its own.
        margins: float64 (heads, heads), how far below the best (row) a cheaper head (column) may
            score. Default 0: the best, the cheapest of equals. With ``paired_se`` the choice is
            the one-standard-error rule, simplified: the errors are those of all images, not
            estimated again in each bag.
        weights: float64 (n,), how much each image counts; default: all alike.

    Returns:
        mean, low, high: the 2.5 % and 97.5 % quantile over bags, drawn towards the mean by √.368,
        because each bag is scored on the 36.8 % of the images outside it; nan if there is never an
        image outside.
    """
    if margins is None:
        margins = np.zeros((len(correct), len(correct)))
    rng = np.random.default_rng(seed)
    counted = np.ones(len(labels)) if weights is None else weights
    parts = []
    for start in range(0, bootstraps, _BOOTSTRAPS_AT_ONCE):
        counts = _bags(rng, min(_BOOTSTRAPS_AT_ONCE, bootstraps - start), labels, groups)
        chosen = _choose(_balanced(counts * counted, correct, labels), parameters, margins)
        outside = (counts == 0) * counted
        usable = outside.any(axis=1)
        scores = _balanced(outside[usable], correct, labels)
        parts.append(scores[np.arange(len(scores)), chosen[usable]])
    drawn = np.concatenate(parts)
    if len(drawn) == 0:
        return math.nan, math.nan, math.nan
    mean = min(1.0, float(drawn.mean()))
    low, high = mean + math.sqrt(OUTSIDE) * (np.quantile(drawn, [0.025, 0.975]) - mean)
    return mean, max(0.0, float(low)), min(1.0, float(high))


def _choose(scores: Floats, parameters: Ints, margins: Floats) -> npt.NDArray[np.intp]:
    """Cheapest head within the margin of the best, for each row of (cases, heads) scores."""
    best = scores.argmax(axis=1)
    behind = scores.max(axis=1, keepdims=True) - scores
    eligible = behind <= margins[best] + ROUNDING
    cost = np.where(eligible, np.asarray(parameters, dtype=np.float64), np.inf)
    cheapest = cost == cost.min(axis=1, keepdims=True)
    chosen: npt.NDArray[np.intp] = np.where(cheapest, scores, -np.inf).argmax(axis=1)
    return chosen


def _bags(rng: np.random.Generator, bags: int, labels: Ints, groups: Ints | None) -> Floats:
    """How often each image lies in each bag: float64 (bags, n)."""
    unit = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    units = int(unit.max()) + 1
    drawn = rng.integers(units, size=(bags, units)) + units * np.arange(bags)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=bags * units).reshape(bags, units)
    return counts[:, unit].astype(np.float64)


def _balanced(weights: Floats, correct: Floats, labels: Ints) -> Floats:
    """Weighted balanced accuracy, (cases, n) weights and (heads, n) → (cases, heads).

    A class without weight in a case is left out of that case's mean.
    """
    total = np.zeros((len(weights), len(correct)))
    present = np.zeros((len(weights), 1))
    for label in np.unique(labels):
        member = labels == label
        mass = weights[:, member].sum(axis=1, keepdims=True)
        total += weights[:, member] @ correct[:, member].T / np.where(mass > 0, mass, 1.0)
        present += mass > 0
    return total / present
