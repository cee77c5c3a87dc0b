"""The Bayesian signed-rank test with a region of practical equivalence, over data sets.

Benavoli, Corani, Demšar & Zaffalon (2017), JMLR 18(77). The differences of the data sets, and one
of 0 of weight ½ that stands for what was known before, are weighted by draws from a Dirichlet
distribution. In each draw the mean of two differences, drawn by these weights, falls below, within
or above the region; the probability of an answer is the share of the draws in which it is the most
frequent one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headfit.study.comparison.compare import Floats, check_rope

PRIOR = 0.5
DRAWS = 20_000


@dataclass(frozen=True)
class Posterior:
    """Probabilities of the three answers; they add up to 1.

    Attributes:
        below: that the differences lie, as a rule, below −rope.
        equal: that they lie within the region.
        above: that they lie above rope.
    """

    below: float
    equal: float
    above: float


def signed_rank(differences: Floats, rope: float, seed: int = 0, draws: int = DRAWS) -> Posterior:
    """Run the test.

    Args:
        differences: float64 (N,), one of each data set.
        rope: half-width of the region of practical equivalence, a fraction.
        seed: of the draws.
        draws: their number.

    Raises:
        UsageError: ``rope`` is not between 0 and 1.

    Example:

    >>> signed_rank(np.array([0.02, 0.03, 0.04, 0.05, 0.03, 0.06]), rope=0.01).above > 0.95
    True
    """
    check_rope(rope)
    values = np.append(0.0, differences)
    sums = np.round(values[:, None] + values, 12)
    edge = round(2 * rope, 12)
    strengths = np.append(PRIOR, np.ones(len(differences)))
    weights = np.random.default_rng(seed).dirichlet(strengths, draws)
    below, above = (
        np.einsum("di,di->d", weights @ ((side > edge) + 0.5 * (side == edge)), weights)
        for side in (-sums, sums)
    )
    shares = np.stack([below, 1 - below - above, above], axis=1)
    counts = np.bincount(shares.argmax(axis=1), minlength=3) / draws
    return Posterior(*map(float, counts))
