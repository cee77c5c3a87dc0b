"""Which head to choose, and what score to expect of the chosen one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from headfit.study.comparison.compare import ROUNDING, Floats, Interval, Ints, paired_se

_BOOTSTRAPS_AT_ONCE = 100
_REPEATS = 20  # of labels, where each weighting takes one repeat in turn
OUTSIDE = math.exp(-1)  # share of the images that a bag leaves out


def cheapest_within_one_se(
    scores: Floats, parameters: Ints, folds: int, overlap: float = 1.0
) -> int:
    """Choose the head with the fewest parameters among those with d̄(best − h) <= SE(best − h).

    Args:
        scores: float64 (heads, repeats·folds), higher is better.
        parameters: int (heads,).
        folds: k of the cross-validation.
        overlap: see :func:`headfit.study.comparison.compare.corrected_t`.

    Returns:
        Its index. Of equal counts the higher score wins, then the earlier head.
    """
    return int(_choose(scores.mean(axis=1)[None], parameters, paired_se(scores, folds, overlap))[0])


def expected_score(
    score: Callable[[Floats], Floats],
    parameters: Ints,
    images: int,
    *,
    seed: int,
    bootstraps: int = 1000,
    groups: Ints | None = None,
    margins: Floats | None = None,
    weights: Floats | None = None,
    bounds: tuple[float | None, float | None] = (0.0, 1.0),
) -> Interval:
    """Give the score to expect of the chosen head, corrected for having chosen it: BBC-CV.

    The best of several heads looks better than it is. So the choice is re-run in each bootstrap
    bag of out-of-fold predictions, and the head chosen is scored on the images outside the bag
    (Tsamardinos 2018). No head is trained again.

    Args:
        score: the scores of all heads out of fold, (B, heads), when images count as often as
            float64 (B, n) says; nan where a score is undefined.
        parameters: int (heads,).
        images: n.
        seed: of the bootstrap.
        bootstraps: number of bags.
        groups: int (n,), drawn and left out as wholes; default: each image on its own.
        margins: float64 (heads, heads), how far below the best (row) a cheaper head (column) may
            score. Default 0: the best, the cheapest of equals. With ``paired_se`` the choice is
            the one-standard-error rule, simplified: the errors are those of all images, not
            estimated again in each bag.
        weights: float64 (n,), how much each image counts; default: all alike.
        bounds: least and greatest possible score.

    Returns:
        mean, low, high: the 2.5 % and 97.5 % quantile over bags, drawn towards the mean by √.368,
        because each bag is scored on the 36.8 % of the images outside it; nan if there is never an
        image outside.
    """
    if margins is None:
        margins = np.zeros((len(parameters), len(parameters)))
    parts = []
    for inside, outside in _in_and_out(score, images, seed, bootstraps, groups, weights):
        chosen = _choose(inside, parameters, margins)
        parts.append(outside[np.arange(len(chosen)), chosen])
    drawn = np.concatenate(parts)
    if len(drawn) == 0:
        return math.nan, math.nan, math.nan
    least, most = (-math.inf if bounds[0] is None else bounds[0]), bounds[1]
    most = math.inf if most is None else most
    mean = min(most, float(drawn.mean()))
    low, high = mean + math.sqrt(OUTSIDE) * (np.quantile(drawn, [0.025, 0.975]) - mean)
    return mean, max(least, float(low)), min(most, float(high))


def optimism(
    score: Callable[[Floats], Floats],
    images: int,
    *,
    seed: int,
    bootstraps: int = 1000,
    groups: Ints | None = None,
    weights: Floats | None = None,
) -> tuple[float, Interval]:
    """Give the best score of several heads, and how much of it is the luck of having been chosen.

    As in :func:`expected_score`, the best head of each bag is scored outside of it; so is the head
    that is best on all images. The difference of the two does not depend on which images the bag
    leaves out, and is 0 where they are the same head.

    Args:
        score: see :func:`expected_score`.
        images: n.
        seed: of the bootstrap.
        bootstraps: number of bags.
        groups: int (n,), drawn and left out as wholes; default: each image on its own.
        weights: float64 (n,), how much each image counts; default: all alike.

    Returns:
        The best score, and mean, low, high of the optimism, with quantiles as in
        :func:`expected_score`; nan if there is never an image outside.
    """
    counted = np.ones(images) if weights is None else weights
    overall = score(np.tile(counted, (_REPEATS, 1))).mean(axis=0)
    best = int(overall.argmax())
    parts = [np.empty(0)]
    for inside, outside in _in_and_out(score, images, seed, bootstraps, groups, weights):
        chosen = inside.argmax(axis=1)
        parts.append(outside[:, best] - outside[np.arange(len(chosen)), chosen])
    drawn = np.concatenate(parts)
    if len(drawn) == 0:
        return float(overall[best]), (math.nan, math.nan, math.nan)
    mean = float(drawn.mean())
    low, high = mean + math.sqrt(OUTSIDE) * (np.quantile(drawn, [0.025, 0.975]) - mean)
    return float(overall[best]), (mean, float(low), float(high))


def _in_and_out(
    score: Callable[[Floats], Floats],
    images: int,
    seed: int,
    bootstraps: int,
    groups: Ints | None,
    weights: Floats | None,
) -> Iterator[tuple[Floats, Floats]]:
    """Yield the scores of all heads inside and outside of some bags at a time, (bags, heads)."""
    rng = np.random.default_rng(seed)
    counted = np.ones(images) if weights is None else weights
    for start in range(0, bootstraps, _BOOTSTRAPS_AT_ONCE):
        counts = _bags(rng, min(_BOOTSTRAPS_AT_ONCE, bootstraps - start), images, groups)
        inside, outside = score(counts * counted), score((counts == 0) * counted)
        usable = np.isfinite(inside).all(axis=1) & np.isfinite(outside).all(axis=1)
        yield inside[usable], outside[usable]


def _choose(scores: Floats, parameters: Ints, margins: Floats) -> npt.NDArray[np.intp]:
    """Cheapest head within the margin of the best, for each row of (cases, heads) scores."""
    best = scores.argmax(axis=1)
    behind = scores.max(axis=1, keepdims=True) - scores
    eligible = behind <= margins[best] + ROUNDING
    cost = np.where(eligible, np.asarray(parameters, dtype=np.float64), np.inf)
    cheapest = cost == cost.min(axis=1, keepdims=True)
    chosen: npt.NDArray[np.intp] = np.where(cheapest, scores, -np.inf).argmax(axis=1)
    return chosen


def _bags(rng: np.random.Generator, bags: int, images: int, groups: Ints | None) -> Floats:
    """How often each image lies in each bag: float64 (bags, n)."""
    unit = np.arange(images) if groups is None else np.unique(groups, return_inverse=True)[1]
    units = int(unit.max()) + 1
    drawn = rng.integers(units, size=(bags, units)) + units * np.arange(bags)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=bags * units).reshape(bags, units)
    return counts[:, unit].astype(np.float64)
