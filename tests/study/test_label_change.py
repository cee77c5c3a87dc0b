from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from headfit.report.text.views import label_change_warning
from headfit.study.comparison.label_change import label_change
from numbered import numbered

LABELS = np.arange(400) % 2


def predictions(wrong: np.ndarray) -> np.ndarray:
    """Predictions that are wrong of some images."""
    return np.eye(2)[np.where(wrong, 1 - LABELS, LABELS)]


def change_of(lost: int, gained: int, both: int = 20):
    """A change that gets some images wrong, others right, and leaves some wrong."""
    numbers = np.arange(400)
    plain = numbers < gained + both
    changed = (numbers >= gained) & (numbers < gained + both + lost)
    return label_change(predictions(plain), predictions(changed), numbered(LABELS))


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (7, 7), (8, 3), (3, 8), (30, 1), (200, 40)])
def test_the_p_value_is_that_of_the_exact_binomial_test(lost, gained):
    change = change_of(lost, gained)
    assert (change.lost, change.gained) == (lost, gained)
    assert change.drop == pytest.approx((lost - gained) / 400)
    wanted = binomtest(lost, lost + gained).pvalue if lost + gained else 1.0
    assert change.p_value == pytest.approx(wanted)


def test_a_clear_change_lowers_the_accuracy_by_more_than_a_point_and_not_by_chance():
    assert change_of(30, 2).is_clear
    assert not change_of(2, 30).is_clear  # better than before
    assert not change_of(12, 4).is_clear  # two points, p = 0.08
    numbers = np.arange(4000)
    targets = numbered(numbers % 2)
    plain = np.eye(2)[targets.values]
    changed = np.where((numbers < 38)[:, None], 1 - plain, plain)
    change = label_change(plain, changed, targets)
    assert change.p_value < 1e-9 and not change.is_clear  # less than a point


def test_the_warning_says_what_the_step_costs_and_what_to_do():
    plain, changed = (predictions(np.arange(400) < wrong) for wrong in (36, 151))
    assert label_change_warning("hflip", label_change(plain, changed, numbered(LABELS))) == (
        "WARNING: Flipping left to right lowers the accuracy of the frozen head from 91.0 to "
        "62.3 %. Leave hflip out of `augment`."
    )
