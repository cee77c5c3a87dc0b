"""Intervals that rest on how many images were right, whatever the folds say.

Fold scores stop varying long before certainty is reached: twelve of twelve right is 73.5 to 100 %,
not 100 to 100. So an interval of a score is at least the exact binomial one (Clopper & Pearson
1934) on the number of independent groups, and that of a difference at least the score interval for
paired proportions (Tango 1998) on the groups that only one of the two heads gets right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

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
    """Which images each head gets right out of fold.

    Attributes:
        right: bool (heads, repeats, n).
        weights: float64 (n,), what an image adds to balanced accuracy; they sum to 1.
        independent: number of independent groups that carry as much as these images do.
        rarest: position of the class that limits this number, if one alone accounts for more than
            half of the variance, and for four times as much as another; else None.
        sizes: int (K,), groups of each class that occurs.
        groups: int (n,), equal for images that belong together; None if each stands alone.
    """

    right: npt.NDArray[np.bool_]
    weights: Floats
    independent: float
    rarest: int | None
    sizes: Ints
    groups: Ints | None

    @classmethod
    def of(
        cls,
        right: npt.NDArray[np.bool_],
        labels: Ints,
        groups: Ints | None = None,
        weights: Floats | None = None,
    ) -> Hits:
        """Weigh images so that every class counts alike.

        Args:
            right: bool (heads, repeats, n).
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
            float(len(classes) ** 2 / variances.sum()),
            rarest if limits else None,
            np.bincount(pairs[0]),
            groups,
        )

    def only(self, rows: list[int]) -> Hits:
        """Keep some heads."""
        return replace(self, right=self.right[rows])

    def difference(self, first: int, second: int) -> Range:
        """Compute the interval of one head's balanced accuracy minus another's."""
        a, b = self.right[first], self.right[second]
        ahead, behind = (float(((x & ~y) @ self.weights).mean()) for x, y in ((a, b), (b, a)))
        n = self.independent
        return paired_interval(ahead * n, behind * n, n)

    def score(self, head: int) -> Range:
        """Compute the interval of one head's balanced accuracy."""
        share = float((self.right[head] @ self.weights).mean())
        return exact_interval(min(1.0, share), self.independent)
