"""Bins of the reliability diagram agree with the calibration error and with Wilson's interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from headfit.fitting.metrics import ece
from headfit.study.reliability.confidence import calibration_bins, wilson


def test_bins_weighted_by_their_images_give_the_calibration_error() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 97)
    one = rng.dirichlet(np.ones(3), 97)
    for repeats in (1, 2):
        bins = calibration_bins(np.stack([one] * repeats), labels)
        assert sum(each["images"] for each in bins) == pytest.approx(97)
        error = sum(e["images"] * abs(e["confidence"] - e["accuracy"]) for e in bins) / 97
        assert error == pytest.approx(ece(one, labels))
        assert all(e["low"] <= e["accuracy"] <= e["high"] for e in bins)
    confidences = [each["confidence"] for each in bins]
    assert confidences == sorted(confidences)


@pytest.mark.parametrize(("hits", "n"), [(0, 12), (7, 12), (12, 12)])
def test_the_interval_is_wilsons(hits: int, n: int) -> None:
    expected = binomtest(hits, n).proportion_ci(method="wilson")
    assert wilson(hits / n, n) == pytest.approx((expected.low, expected.high), abs=1e-6)
