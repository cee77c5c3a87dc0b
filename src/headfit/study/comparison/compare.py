"""Tests whether one head is better than another beyond noise, and which one to choose.

Scores of cross-validation folds are not independent, because their training sets overlap. The naive
t-test calls two equal heads different in up to half of all cases; the corrected one does not.
Scores are fractions: a difference of one point is 0.01.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from headfit.errors import UsageError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer]
Interval = tuple[float, float, float]

# Fold scores are ratios of small counts; differences below this are rounding.
ROUNDING = 1e-12
_BOOTSTRAPS_AT_ONCE = 100


@dataclass(frozen=True)
class Difference:
    """A paired difference δ between two heads: estimate, test and posterior.

    Attributes:
        mean: mean over all folds of all repeats.
        low: lower end of the confidence interval.
        high: upper end.
        p_value: two-sided, of δ = 0, not yet corrected for several heads.
        p_rope: P(|δ| <= rope).
        p_better: P(δ > rope).
        se: corrected standard error.
        df: degrees of freedom.

    If folds do not vary, the noise is unknown. If all differences are 0, ``p_value`` is 1 and the
    posterior is concentrated on 0; if they all equal another number, everything but ``mean`` and
    ``df`` is nan, which passes no threshold: undecided.
    """

    mean: float
    low: float
    high: float
    p_value: float
    p_rope: float
    p_better: float
    se: float
    df: int


def corrected_t(
    differences: Floats, folds: int, rope: float, confidence: float = 0.95
) -> Difference:
    """Run the corrected resampled and the Bayesian correlated t-test on paired fold scores.

    SE = s_d √(1/n + 1/(k−1)), t = d̄/SE with n−1 degrees of freedom (Nadeau & Bengio 2003);
    posterior δ ~ t_{n−1}(d̄, SE²) (Benavoli et al. 2017).

    Args:
        differences: float64 (repeats·folds,), scores of one head minus those of the other.
        folds: k of the cross-validation.
        rope: half-width of the region of practical equivalence, a fraction (0.01 is one point).
        confidence: level of the interval.

    Raises:
        UsageError: ``rope`` is not between 0 and 1.
        ValueError: fewer than two differences, or one that is not finite.
    """
    check_rope(rope)
    if len(differences) < 2 or not np.isfinite(differences).all():
        raise ValueError("differences must be two or more finite numbers.")
    mean, df = float(np.mean(differences)), len(differences) - 1
    if np.ptp(differences) <= ROUNDING:
        return _without_noise(mean, df)
    se = float(np.std(differences, ddof=1)) * _inflation(len(differences), folds)
    reach = float(stdtrit(df, (1 + confidence) / 2)) * se
    p_better = float(stdtr(df, (mean - rope) / se))
    p_worse = float(stdtr(df, (-rope - mean) / se))
    return Difference(
        mean=mean,
        low=mean - reach,
        high=mean + reach,
        p_value=float(2 * stdtr(df, -abs(mean) / se)),
        p_rope=max(0.0, 1.0 - p_better - p_worse),
        p_better=p_better,
        se=se,
        df=df,
    )


def check_rope(rope: float) -> None:
    """Check the region of practical equivalence.

    Raises:
        UsageError: ``rope`` is not between 0 and 1, both excluded.
    """
    if not 0 < rope < 1:
        raise UsageError(f"rope must lie between 0 and 1 (one point is 0.01), received {rope}.")


def corrected_interval(
    values: Floats,
    folds: int,
    *,
    lower: float | None = None,
    upper: float | None = None,
    confidence: float = 0.95,
) -> Interval:
    """Compute the mean of one score over folds, with an interval from the corrected standard error.

    Args:
        values: float64 (repeats·folds,); nan (a metric undefined in a fold) is left out.
        folds: k of the cross-validation.
        lower: smallest possible score; the interval ends there.
        upper: largest possible score.
        confidence: level of the interval.

    Returns:
        mean, low, high; all nan without any value, low and high nan with a single one.
    """
    scores = values[~np.isnan(values)]
    if len(scores) == 0:
        return math.nan, math.nan, math.nan
    mean = float(np.mean(scores))
    if len(scores) < 2:
        return mean, math.nan, math.nan
    se = float(np.std(scores, ddof=1)) * _inflation(len(scores), folds)
    reach = float(stdtrit(len(scores) - 1, (1 + confidence) / 2)) * se
    low = mean - reach if lower is None else max(lower, mean - reach)
    high = mean + reach if upper is None else min(upper, mean + reach)
    return mean, low, high


def or_none(value: float) -> float | None:
    """Replace nan, which JSON lacks, by None."""
    return value if math.isfinite(value) else None


def by_name(interval: Interval) -> dict[str, float | None]:
    """Name the parts of an interval as ``results.json`` does; None for nan."""
    return dict(zip(("mean", "low", "high"), map(or_none, interval), strict=True))


def holm(p_values: Floats) -> Floats:
    """Adjust m p-values by Holm's step-down method; the order stays.

    A nan counts as one of the m, as the largest, and stays nan.
    """
    filled = np.where(np.isnan(p_values), 1.0, p_values)
    order = np.argsort(filled, kind="stable")
    factors = np.arange(len(filled), 0, -1)
    adjusted = np.empty(len(filled))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factors * filled[order]))
    return np.where(np.isnan(p_values), np.nan, adjusted)


def minimal_detectable(se: float, df: int) -> float:
    """Compute the smallest difference detected with 80 % power at α = .05: (t.975 + t.80)·SE."""
    return float(stdtrit(df, 0.975) + stdtrit(df, 0.80)) * se


def images_needed(n: int, mde: float, rope: float) -> int:
    """Estimate how many images bring the minimal detectable difference down to ``rope``.

    ⌈N (MDE/r)²⌉, because the standard error falls with √N.
    """
    return math.ceil(n * (mde / rope) ** 2)


def paired_se(scores: Floats, folds: int) -> Floats:
    """Compute the corrected standard error of every paired difference.

    Args:
        scores: float64 (heads, repeats·folds).
        folds: k of the cross-validation.

    Returns:
        float64 (heads, heads), symmetric, 0 on the diagonal.
    """
    differences = scores[:, None, :] - scores[None, :, :]
    spread: Floats = np.std(differences, axis=2, ddof=1)
    return spread * _inflation(scores.shape[1], folds)


def as_good_as_best(scores: Floats, folds: int, alpha: float = 0.05) -> npt.NDArray[np.bool_]:
    """Tell which heads cannot be told from the best by the corrected test, with Holm's correction.

    Args:
        scores: float64 (heads, repeats·folds), higher is better.
        folds: k of the cross-validation.
        alpha: level of the tests together.

    Returns:
        bool (heads,), True for the best itself. Heads apart by the same amount in every fold leave
        the noise unknown, and are not told apart.
    """
    means, errors = scores.mean(axis=1), paired_se(scores, folds)
    best = int(means.argmax())
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (means[best] - means) / errors[best]
    p_values = np.where(errors[best] > ROUNDING, 2 * stdtr(scores.shape[1] - 1, -t), 1.0)
    others = np.arange(len(scores)) != best
    alike = np.ones(len(scores), bool)
    alike[others] = holm(p_values[others]) >= alpha
    return alike


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
        mean, 2.5 % and 97.5 % quantile over bags; nan if there is never an image outside.
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
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(drawn.mean()), float(low), float(high)


def _inflation(n: int, folds: int) -> float:
    return math.sqrt(1 / n + 1 / (folds - 1))


def _without_noise(mean: float, df: int) -> Difference:
    if abs(mean) <= ROUNDING:
        return Difference(0.0, 0.0, 0.0, p_value=1.0, p_rope=1.0, p_better=0.0, se=0.0, df=df)
    nan = math.nan
    return Difference(mean, nan, nan, p_value=nan, p_rope=nan, p_better=nan, se=nan, df=df)


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
