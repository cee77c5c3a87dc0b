from __future__ import annotations

import numpy as np
import pytest

from headfit.study.learning_curve.curve import crossing
from headfit.study.learning_curve.powerlaw import ErrorCurve, Forecast

SIZES = np.array([28, 40, 56, 80, 112, 159, 225, 318, 450, 636, 900])


def simulated(rng, a, b, c) -> Forecast:
    """A forecast from errors around a law: each seed has its own test fold."""
    errors = a * SIZES**-b + c + 0.01 * rng.normal(size=(10, 1))
    return Forecast.of(
        ErrorCurve(SIZES, np.abs(errors + 0.01 * rng.normal(size=(10, len(SIZES)))), 10)
    )


def test_a_planted_crossing_is_found():
    rng = np.random.default_rng(10)
    # 2 n^-0.5 and 0.4 n^-0.2 are equal at n = 5^(1/0.3) = 214
    steep = simulated(rng, 2.0, 0.5, 0.0)
    flat = simulated(rng, 0.4, 0.2, 0.0)
    found = crossing(flat, steep, 28, 3600)
    assert found.sure and found.first_before
    assert found.low <= 214 <= found.high
    assert found.size == pytest.approx(214, rel=0.15)
    other = crossing(steep, flat, 28, 3600)
    assert other.size == pytest.approx(found.size) and not other.first_before
    assert crossing(flat, steep, 28, 100) is None


def test_curves_that_are_alike_cross_nowhere_for_sure():
    rng = np.random.default_rng(11)
    sure = 0
    for _ in range(20):
        one, other = (simulated(rng, 2.0, 0.6, 0.02) for _ in range(2))
        found = crossing(one, other, 28, 3600)
        sure += found is not None and found.sure
    assert sure <= 2
    assert crossing(one, one, 28, 3600) is None
