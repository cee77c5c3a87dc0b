"""What these images can show, and how many would decide."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr, stdtrit

from headfit.study.comparison.compare import Difference

ASSURANCE = 0.8
POSTERIOR = 400  # points


def minimal_detectable(se: float, df: int) -> float:
    """Compute the smallest difference detected with 80 % power at α = .05: (t.975 + t.80)·SE."""
    return float(stdtrit(df, 0.975) + stdtrit(df, 0.80)) * se


def images_needed(n: int, difference: Difference, rope: float) -> int:
    """Estimate how many images would decide: the assurance that a word is said reaches 0.8.

    The true difference is as likely as its posterior says; the estimate from N′ images varies about
    it with the standard error √(N/N′)·SE. A word is said unless the estimate lies both below what
    is beyond noise and above what excludes a lead of more than ``rope`` (O'Hagan, Stevens &
    Campbell 2005).

    Args:
        n: N, the images so far.
        difference: what they show.
        rope: half-width of the region of practical equivalence, a fraction.

    Returns:
        N′, at least N.
    """
    quantiles = stdtrit(difference.df, (np.arange(POSTERIOR) + 0.5) / POSTERIOR)
    sides = np.where(quantiles > 0, difference.above, difference.below)
    truth = difference.mean + quantiles * sides
    two, one = float(stdtrit(difference.df, 0.975)), float(stdtrit(difference.df, 0.95))

    def assurance(times: float) -> float:
        se = difference.se / math.sqrt(times)
        silent = ndtr((two * se - truth) / se) - ndtr((rope - one * se - truth) / se)
        return float(1 - np.maximum(silent, 0.0).mean())

    low, high = 1.0, 2.0
    while assurance(high) < ASSURANCE:  # ends: a small enough error leaves no room for silence
        low, high = high, 2 * high
    while high / low > 1.001:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if assurance(middle) >= ASSURANCE else (middle, high)
    return math.ceil(n * high)
