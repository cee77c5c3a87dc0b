"""A sweep ends where the loss explodes, and suggests the middle of its longest descent."""

from __future__ import annotations

import math

import numpy as np
import pytest

from headfit.errors import UsageError
from headfit.finetuning.sweep import SmoothLoss, rising_rates, valley


def smooth(losses):
    loss = SmoothLoss()
    for number, each in enumerate(losses, 1):
        loss.add(each)
        if loss.exploded:
            return number, loss
    return None, loss


def test_rates_rise_by_the_same_factor():
    rates = rising_rates(1e-6, 0.1, 11)
    assert rates[0] == pytest.approx(1e-6)
    assert rates[-1] == pytest.approx(0.1)
    assert np.ptp(rates[1:] / rates[:-1]) < 1e-9


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ((0, 0.1, 60), "lowest"),
        ((1e-3, 1e-4, 60), "highest"),
        ((1e-6, 100, 60), "highest"),
        ((1e-6, 0.1, 3), "steps"),
        ((1e-6, 0.1, 2.5), "steps"),
        ((math.nan, 0.1, 60), "lowest"),
    ],
)
def test_rates_that_cannot_rise_are_refused(settings, named):
    with pytest.raises(UsageError, match=f"`{named}`"):
        rising_rates(*settings)


def test_the_average_starts_without_a_bias():
    _, loss = smooth([2.0, 2.0, 2.0])
    assert loss.averages == pytest.approx([2.0, 2.0, 2.0])


def test_it_ends_at_four_times_the_best_average():
    assert smooth([1.0] * 5 + [3.9] * 40)[0] is None
    ended, loss = smooth([1.0] * 5 + [100.0] * 40)
    assert ended == 6
    assert loss.averages[-1] > 4 > loss.averages[-2]


def test_a_loss_that_stays_small_does_not_end_it():
    loss = SmoothLoss(least=0.1)
    for each in (0.001, 0.09, 0.09):
        loss.add(each)
    assert not loss.exploded


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_it_ends_at_a_loss_that_is_not_finite(loss):
    assert smooth([1.0, loss, 1.0])[0] == 2


def test_the_suggestion_is_the_middle_of_the_descent():
    flat, fall, rise = [1.0] * 20, np.linspace(0.99, 0.3, 20), np.linspace(0.31, 4, 10)
    assert valley([*flat, *fall, *rise]) == pytest.approx(29, abs=1)


def test_a_bump_does_not_end_the_descent():
    losses = np.linspace(1, 0.2, 30)
    losses[10] += 0.1
    assert valley(losses.tolist()) in (14, 15)


@pytest.mark.parametrize("losses", [[], [1.0], [1.0, 1.1, 1.5], [1.0, 0.999, 0.998], [1e-9, 1e-10]])
def test_nothing_is_suggested_where_the_loss_does_not_fall(losses):
    assert valley(losses) is None
