"""Tests whether one head is better than another beyond noise, and which one to choose.

Scores of cross-validation folds are not independent, because their training sets overlap. The naive
t-test calls two equal heads different in up to half of all cases; the corrected one does not.
Scores are fractions: a difference of one point is 0.01.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from headfit.errors import UsageError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer]
Interval = tuple[float, float, float]

# Fold scores are ratios of small counts; differences below this are rounding.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Difference:
    """A paired difference δ between two heads: estimate, test and posterior.

    Attributes:
        mean: mean over all folds of all repeats.
        low: lower end of the confidence interval.
        high: upper end.
        p_value: two-sided, of δ = 0.
        p_rope: P(|δ| <= rope).
        p_better: P(δ > rope).
        se: corrected standard error; the larger one where the two sides differ.
        df: degrees of freedom.
        below: standard error on the side of smaller differences.
        above: the same on the side of larger ones.

    Where the images themselves allow more than the folds suggest (see ``floor`` of
    :func:`corrected_t`), the two sides of the posterior have their own widths.

    If folds do not vary and no images are counted, the noise is unknown. If all differences are
    0, ``p_value`` is 1 and the posterior is concentrated on 0; if they all equal another
    number, everything but ``mean`` and ``df`` is nan, which passes no threshold: undecided.
    """

    mean: float
    low: float
    high: float
    p_value: float
    p_rope: float
    p_better: float
    se: float
    df: int
    below: float
    above: float

    def probability_above(self, value: float) -> float:
        """Give P(δ > value) of the posterior; nan where the noise is unknown."""
        se = self.above if value > self.mean else self.below
        if se == 0:
            return float(self.mean > value)
        return float(stdtr(self.df, (self.mean - value) / se))


def corrected_t(
    differences: Floats,
    folds: int,
    rope: float,
    confidence: float = 0.95,
    floor: tuple[float, float] | None = None,
    overlap: float = 1.0,
) -> Difference:
    """Run the corrected resampled and the Bayesian correlated t-test on paired fold scores.

    SE = s_d √(1/n + c/(k−1)), t = d̄/SE with n−1 degrees of freedom, c = 1 (Nadeau & Bengio 2003);
    posterior δ ~ t_{n−1}(d̄, SE²) (Benavoli et al. 2017).

    Args:
        differences: float64 (repeats·folds,), scores of one head minus those of the other.
        folds: k of the cross-validation.
        rope: half-width of the region of practical equivalence, a fraction (0.01 is one point).
        confidence: level of the interval.
        floor: an interval of 95 % that counts the images, such as
            :meth:`headfit.study.comparison.proportions.Hits.difference`; on each side the wider of
            the two decides.
        overlap: c, how much folds have in common. 1 stands for the images that are tested, as if
            models did not depend on those that they were trained on.

    Raises:
        UsageError: ``rope`` is not between 0 and 1.
        ValueError: fewer than two differences, or one that is not finite.
    """
    check_rope(rope)
    if len(differences) < 2 or not np.isfinite(differences).all():
        raise ValueError("differences must be two or more finite numbers.")
    mean, df = float(np.mean(differences)), len(differences) - 1
    steady = bool(np.ptp(differences) <= ROUNDING)
    if steady and floor is None:
        return _without_noise(mean, df)
    se = (
        0.0
        if steady
        else float(np.std(differences, ddof=1)) * _inflation(len(differences), folds, overlap)
    )
    wide = float(stdtrit(df, 0.975))
    below, above = (
        se if floor is None else max(se, side / wide)
        for side in ((0.0, 0.0) if floor is None else (mean - floor[0], floor[1] - mean))
    )
    reach = float(stdtrit(df, (1 + confidence) / 2))
    low, high = mean - reach * below, mean + reach * above
    towards_zero = below if mean > 0 else above
    found = Difference(
        mean=mean,
        low=low if floor is None else max(-1.0, low),
        high=high if floor is None else min(1.0, high),
        p_value=1.0 if mean == 0 else float(2 * stdtr(df, -abs(mean) / towards_zero)),
        p_rope=math.nan,
        p_better=math.nan,
        se=max(below, above),
        df=df,
        below=below,
        above=above,
    )
    better, not_worse = found.probability_above(rope), found.probability_above(-rope)
    return replace(found, p_rope=max(0.0, not_worse - better), p_better=better)


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
    floor: tuple[float, float] | None = None,
) -> Interval:
    """Compute the mean of one score over folds, with an interval from the corrected standard error.

    Args:
        values: float64 (repeats·folds,); nan (a metric undefined in a fold) is left out.
        folds: k of the cross-validation.
        lower: smallest possible score; the interval ends there.
        upper: largest possible score.
        confidence: level of the interval.
        floor: an interval of 95 % that counts the images; the wider end decides on each side.

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
    return (mean, low, high) if floor is None else widened((mean, low, high), floor)


def widened(interval: Interval, floor: tuple[float, float]) -> Interval:
    """Widen an interval until it holds another; nan stays."""
    mean, low, high = interval
    return mean, min(low, floor[0]), max(high, floor[1])


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


def paired_se(scores: Floats, folds: int, overlap: float = 1.0) -> Floats:
    """Compute the corrected standard error of every paired difference.

    Args:
        scores: float64 (heads, repeats·folds).
        folds: k of the cross-validation.
        overlap: see :func:`corrected_t`.

    Returns:
        float64 (heads, heads), symmetric, 0 on the diagonal.
    """
    differences = scores[:, None, :] - scores[None, :, :]
    spread: Floats = np.std(differences, axis=2, ddof=1)
    return spread * _inflation(scores.shape[1], folds, overlap)


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


def _inflation(n: int, folds: int, overlap: float = 1.0) -> float:
    return math.sqrt(1 / n + overlap / (folds - 1))


def _without_noise(mean: float, df: int) -> Difference:
    if abs(mean) <= ROUNDING:
        return Difference(0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, df, 0.0, 0.0)
    nan = math.nan
    return Difference(mean, nan, nan, nan, nan, nan, nan, df, nan, nan)
