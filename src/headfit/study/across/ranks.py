"""Tests over data sets: which head is better than which, by ranks.

Each data set is one observation. Two heads are compared by Wilcoxon's signed-rank test, all pairs
of them with Holm's correction: unlike the tests on mean ranks, what it says of two heads does not
depend on which others are compared (Benavoli, Corani & Mangili 2016). Friedman's test and Nemenyi's
critical difference are given for readers who expect them (Demšar 2006).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from headfit.study.comparison.compare import ROUNDING, Floats, holm

ALPHA = 0.05


@dataclass(frozen=True)
class Friedman:
    """Friedman's test of whether all heads are alike, in the form of Iman and Davenport.

    Attributes:
        chi2: Friedman's statistic, corrected for ties.
        f: (N−1)χ² / (N(k−1) − χ²); infinite if all data sets agree.
        p_value: of F with k−1 and (k−1)(N−1) degrees of freedom.
    """

    chi2: float
    f: float
    p_value: float


def mean_ranks(scores: Floats) -> Floats:
    """Give the mean rank of each head: 1 is best, equal scores share a rank.

    Args:
        scores: float64 (data sets, heads), more is better.

    Returns:
        float64 (heads,).
    """
    ranks: Floats = stats.rankdata(-_rounded(scores), axis=1).mean(axis=0)
    return ranks


def friedman(scores: Floats) -> Friedman:
    """Test whether all heads are alike.

    Args:
        scores: float64 (data sets, heads), of at least two data sets and three heads.
    """
    sets, heads = scores.shape
    rounded = _rounded(scores)
    if (np.ptp(rounded, axis=1) == 0).all():
        return Friedman(0.0, 0.0, 1.0)
    chi2 = float(stats.friedmanchisquare(*rounded.T).statistic)
    rest = sets * (heads - 1) - chi2
    f = (sets - 1) * chi2 / rest if rest > ROUNDING else math.inf
    return Friedman(chi2, f, float(stats.f.sf(f, heads - 1, (heads - 1) * (sets - 1))))


def critical_difference(heads: int, sets: int, alpha: float = ALPHA) -> float:
    """Give Nemenyi's critical difference of mean ranks, q √(k(k+1)/6N).

    >>> round(critical_difference(heads=4, sets=14), 2)  # Demšar 2006
    1.25
    """
    q = float(stats.studentized_range.ppf(1 - alpha, heads, math.inf)) / math.sqrt(2)
    return q * math.sqrt(heads * (heads + 1) / (6 * sets))


def signed_rank_p(differences: Floats, *, above: bool = False) -> float:
    """Run Wilcoxon's signed-rank test: the exact p-value, with ties and zeros.

    The distribution over all 2ᴺ signs is counted, given the ranks of the sizes. A difference of 0
    has its rank too, and counts for neither side.

    Args:
        differences: float64 (N,), one of each data set.
        above: whether the test is one-sided: small p-values say that differences lie above 0.

    Example:

    >>> leads = np.array([0.01, 0.02, 0.03])
    >>> signed_rank_p(leads), signed_rank_p(leads, above=True)
    (0.25, 0.125)
    """
    rounded = _rounded(differences)
    # twice the ranks are whole numbers
    doubled = np.rint(2 * stats.rankdata(np.abs(rounded))).astype(int)
    signed, moved = int((np.sign(rounded) * doubled).sum()), doubled[rounded != 0]
    ways = np.ones(1)
    for rank in moved:  # shares of the signs that lead to each sum of the positive ranks
        ways = (np.append(ways, np.zeros(rank)) + np.append(np.zeros(rank), ways)) / 2
    sums = 2 * np.arange(len(ways)) - moved.sum()
    beyond = sums >= signed if above else np.abs(sums) >= abs(signed)
    return min(1.0, float(ways[beyond].sum()))


def equivalence_p(differences: Floats, rope: float) -> float:
    """Test whether differences lie within ±rope, as a rule: two one-sided signed-rank tests.

    Args:
        differences: float64 (N,), one of each data set.
        rope: half-width of the region of practical equivalence.

    Returns:
        The larger p-value; a small one says that they do.
    """
    return max(
        signed_rank_p(differences + rope, above=True), signed_rank_p(rope - differences, above=True)
    )


def fewest_data_sets(comparisons: int = 1, alpha: float = ALPHA) -> int:
    """Give the fewest data sets with which a difference can be shown at all.

    The least p-value of the signed-rank test is 2/2ᴺ; Holm's correction multiplies it by the
    number of comparisons.

    >>> fewest_data_sets(), fewest_data_sets(comparisons=15)
    (6, 10)
    """
    return math.ceil(math.log2(2 * comparisons / alpha))


@dataclass(frozen=True)
class Pair:
    """Two heads over all data sets.

    Attributes:
        first: number of a head.
        second: number of another.
        median: of first − second.
        p_value: of the signed-rank test.
        holm_p: after Holm's correction over all pairs.
    """

    first: int
    second: int
    median: float
    p_value: float
    holm_p: float


def compare_pairs(scores: Floats) -> list[Pair]:
    """Compare every two heads.

    Args:
        scores: float64 (data sets, heads).
    """
    pairs = list(combinations(range(scores.shape[1]), 2))
    apart = [scores[:, i] - scores[:, j] for i, j in pairs]
    p_values = np.array([signed_rank_p(each) for each in apart])
    return [
        Pair(i, j, float(np.median(each)), float(p), float(adjusted))
        for (i, j), each, p, adjusted in zip(pairs, apart, p_values, holm(p_values), strict=True)
    ]


def alike(ranks: Floats, pairs: list[Pair], alpha: float = ALPHA) -> list[list[int]]:
    """Find the heads that cannot be told apart, as the bars of a diagram of ranks.

    Args:
        ranks: float64 (heads,), mean ranks.
        pairs: the comparisons of all heads.
        alpha: level.

    Returns:
        The largest runs of at least two heads, in the order of their ranks, of which no two differ.
    """
    order = [int(h) for h in np.argsort(ranks, kind="stable")]
    differ = {frozenset((p.first, p.second)) for p in pairs if p.holm_p < alpha}
    runs: list[list[int]] = []
    for start in range(len(order)):
        run = [order[start]]
        for head in order[start + 1 :]:
            if any(frozenset((head, other)) in differ for other in run):
                break
            run.append(head)
        if len(run) > 1 and not (runs and set(run) <= set(runs[-1])):
            runs.append(run)
    return runs


def _rounded(values: Floats) -> Floats:
    """Make scores equal that differ by rounding only."""
    rounded: Floats = np.round(values, 10)
    return rounded
