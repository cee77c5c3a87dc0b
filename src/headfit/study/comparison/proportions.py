"""Intervals that rest on how many images were right, whatever the folds say.

Fold scores stop varying long before certainty is reached: twelve of twelve right is 73.5 to 100 %,
not 100 to 100. So an interval of a score is at least the exact binomial one (Clopper & Pearson
1934) on the number of independent groups, and that of a difference at least the score interval for
paired proportions (Tango 1998) on the groups that only one of the two heads gets right. A share of
images whose groups differ in size counts them by how much they vary (Korn & Graubard 1998).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, stdtrit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer]
Range = tuple[float, float]
Z = 1.959963984540054  # of a 95 % interval
HALVINGS = 60
LIMITING = 4.0  # times the variance that another class adds


def exact_interval(share: float, n: float) -> Range:
    """Compute the exact binomial 95 % interval of a share of n (Clopper & Pearson 1934).

    Args:
        share: a fraction.
        n: number of independent trials; neither it nor ``share · n`` need be whole.

    Example:

    >>> low, high = exact_interval(1.0, 12)
    >>> f"{low:.3f} to {high:.3f}"
    '0.735 to 1.000'
    """
    right, wrong = share * n, (1 - share) * n
    low = 0.0 if right <= 0 else float(betaincinv(right, wrong + 1, 0.025))
    high = 1.0 if wrong <= 0 else float(betaincinv(right + 1, wrong, 0.975))
    return min(low, share), max(high, share)


@dataclass(frozen=True)
class Share:
    """A share of images, and how far it can be trusted.

    Attributes:
        mean: a fraction.
        low: lower end of the 95 % interval.
        high: upper end.
        independent: number of independent images that it rests on.
    """

    mean: float
    low: float
    high: float
    independent: float


def share_of(values: Floats, groups: Ints | None = None, weights: Floats | None = None) -> Share:
    """Compute a mean of fractions with an interval that holds where groups are alike within.

    It is the exact binomial interval on as many independent images as vary like the groups, at most
    one for each group, and for less where groups are few (Korn & Graubard 1998).

    Args:
        values: float64 (n,), such as 1 for images that are predicted right and 0 for others.
        groups: int (n,), equal for images that belong together; None if each stands alone.
        weights: float64 (n,), how much each image counts; None if all count alike.

    Example:

    >>> alone = share_of(np.repeat([1.0, 0.0], [90, 10]))
    >>> tens = share_of(np.repeat([1.0, 0.0], [90, 10]), np.arange(100) // 10)
    >>> f"{alone.low:.2f} to {alone.high:.2f}, {tens.low:.2f} to {tens.high:.2f}"
    '0.82 to 0.95, 0.47 to 1.00'
    """
    counted = np.ones(len(values)) if weights is None else weights
    mean = float(np.average(values, weights=counted))
    apart = group_totals(values - mean, groups, weights)
    n, spread = len(apart) * _evenness(counted), float(apart @ apart)
    if spread > 0:  # else all are right, or all wrong
        n = min(n, mean * (1 - mean) / spread)
    if 1 < len(apart) < len(values):  # the spread is estimated from the groups
        n *= (stdtrit(len(values) - 1, 0.975) / stdtrit(len(apart) - 1, 0.975)) ** 2
        n *= 1 - 1 / len(apart)
    return Share(mean, *exact_interval(mean, n), float(n))


def group_totals(values: Floats, groups: Ints | None, weights: Floats | None) -> Floats:
    """Add up what each group contributes to a mean, float64 (groups,); they sum to the mean."""
    counted = np.ones(len(values)) if weights is None else weights
    units = np.arange(len(values)) if groups is None else np.unique(groups, return_inverse=True)[1]
    shares = values * counted / counted.sum()
    return np.bincount(units, weights=shares).astype(np.float64)


def _evenness(weights: Floats) -> float:
    """Say for what part of their number images count that differ in weight (Kish 1965)."""
    return float(weights.sum() ** 2 / (len(weights) * np.square(weights).sum()))


def paired_interval(ahead: float, behind: float, n: float, z: float = Z) -> Range:
    """Compute the score interval of a difference of paired proportions (Tango 1998).

    Args:
        ahead: how many of n pairs only the first gets right; need not be whole.
        behind: how many only the second gets right.
        n: number of independent pairs.
        z: normal quantile of the level, by default that of 95 %.

    Example:

    >>> low, high = paired_interval(0, 0, 300)
    >>> f"{low:.4f} to {high:.4f}"
    '-0.0126 to 0.0126'
    """
    return -_highest(behind, ahead, n, z), _highest(ahead, behind, n, z)


def _highest(ahead: float, behind: float, n: float, z: float) -> float:
    """Find the largest difference that the score test does not reject."""
    low, high = (ahead - behind) / n, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        linear = (2 * n - ahead + behind) * middle - ahead - behind
        root = linear**2 + 8 * n * behind * middle * (1 - middle)
        only_second = (math.sqrt(root) - linear) / (4 * n)
        spread = n * (2 * only_second + middle * (1 - middle))
        rejected = n * middle - ahead + behind > z * math.sqrt(max(spread, 0.0))
        low, high = (low, middle) if rejected else (middle, high)
    return high


@dataclass(frozen=True, eq=False)
class Hits:
    """How right each head is of each image out of fold.

    Where images have several labels, a row is a label of an image, and how right a head is of it
    the precision at its score. Nothing is less certain than a share of rows that are right or
    wrong, so the intervals hold for anything between.

    Attributes:
        right: bool, or float64 from 0 to 1, (heads, repeats, n).
        weights: float64 (n,), what a row adds to the score; they sum to 1.
        independent: number of independent groups that carry as much as these images do.
        rarest: position of the class that limits this number, if one alone accounts for more than
            half of the variance, and for four times as much as another; else None.
        sizes: int (K,), groups of each class that occurs.
        groups: int (n,), equal for images that belong together; None if each stands alone.
    """

    right: npt.NDArray[np.bool_] | Floats
    weights: Floats
    independent: float
    rarest: int | None
    sizes: Ints
    groups: Ints | None

    @classmethod
    def of(
        cls,
        right: npt.NDArray[np.bool_] | Floats,
        labels: Ints,
        groups: Ints | None = None,
        weights: Floats | None = None,
    ) -> Hits:
        """Weigh images so that every class counts alike.

        Args:
            right: bool or float64 (heads, repeats, n).
            labels: int (n,).
            groups: int (n,), equal for images that belong together; None if each stands alone.
            weights: float64 (n,), how much each image counts within its class.
        """
        counted = np.ones(len(labels)) if weights is None else weights
        classes, codes = np.unique(labels, return_inverse=True)
        sizes = np.bincount(codes, counted)
        shares = counted / sizes[codes] / len(classes)
        units = np.arange(len(labels)) if groups is None else groups
        pairs = np.unique([codes, units], axis=1)
        # groups count once each, and for less where images differ in weight (Kish 1965)
        even = sizes**2 / (np.bincount(codes) * np.bincount(codes, np.square(counted)))
        worth = np.bincount(pairs[0]) * even
        variances = 1 / worth
        rarest = int(variances.argmax())
        largest, others = variances[rarest], variances.sum() - variances[rarest]
        limits = largest > others and largest * (len(classes) - 1) > LIMITING * others
        return cls(
            right,
            shares,
            # a group of several classes is one group all the same
            min(float(len(classes) ** 2 / variances.sum()), float(len(np.unique(units)))),
            rarest if limits else None,
            np.bincount(pairs[0]),
            groups,
        )

    def only(self, rows: list[int]) -> Hits:
        """Keep some heads."""
        return replace(self, right=self.right[rows])

    def difference(self, first: int, second: int) -> Range:
        """Compute the interval of one head's score minus another's."""
        a, b = (self.right[head].astype(np.float64) for head in (first, second))
        ahead, behind = (
            float((np.maximum(x - y, 0.0) @ self.weights).mean()) for x, y in ((a, b), (b, a))
        )
        n = self.independent
        return paired_interval(ahead * n, behind * n, n)

    def score(self, head: int) -> Range:
        """Compute the interval of one head's score."""
        share = float((self.right[head] @ self.weights).mean())
        return exact_interval(min(1.0, share), self.independent)
