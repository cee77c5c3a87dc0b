"""Do tests and intervals hold what they promise for several labels and for numbers?

The full size is ``benchmarks/calibration.py --only targets``; see ``test_calibration.py``.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from simulations import ALPHA, OtherWorld, naive_t, simulate, true_scores

pytestmark = pytest.mark.slow
SETS = {"number": 60, "labels": 30}
WORLDS = {"number": OtherWorld("number"), "labels": OtherWorld("labels", outputs=3)}
each_kind = pytest.mark.parametrize("kind", WORLDS)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    # problems this small take longer to deal out than to solve
    for module in ("threads", "exact.regression"):
        monkeypatch.setattr(f"headfit.fitting.{module}.usable_cores", lambda: 1)


def most(count: int, rate: float = ALPHA) -> int:
    """The most of ``count`` that 95 % of samples show at this rate."""
    return int(stats.binom.ppf(0.95, count, rate))


@each_kind
def test_two_equal_heads_are_rarely_called_different(kind: str) -> None:
    seeds = range(SETS[kind])
    found = [simulate(WORLDS[kind], seed, folds=5, repeats=5)[0] for seed in seeds]
    assert sum(each.difference(1).p_value < ALPHA for each in found) <= most(len(seeds))
    words = [each.contrast().word for each in found]
    assert sum(word in ("necessary", "ahead") for word in words) <= most(len(seeds), ALPHA / 2)
    # as if the folds of five repeats were independent
    assert sum(naive_t(each.lead(1)).p_value < ALPHA for each in found) > 2 * most(len(seeds))


@each_kind
def test_the_interval_covers_the_true_difference(kind: str) -> None:
    world, strengths = WORLDS[kind], (0.75, 1.0)
    found, seeds = [], range(SETS[kind] // 2)
    for seed in seeds:
        outcome, views = simulate(world, seed, folds=5, repeats=2, strengths=strengths)
        weak, strong = true_scores(world, outcome, views, strengths)
        found.append((strong - weak, outcome.difference(1)))
    truth = np.mean([drawn for drawn, _ in found])
    assert truth > 0.03
    missed = sum(not each.low <= truth <= each.high for _, each in found)
    assert missed <= most(len(seeds))
    # the estimate itself has no bias
    error = np.std([each.mean - drawn for drawn, each in found]) / np.sqrt(len(seeds))
    assert abs(np.mean([each.mean for _, each in found]) - truth) < 3 * error
