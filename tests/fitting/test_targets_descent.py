"""Heads that are trained by gradient descent, for several labels and for numbers."""

import numpy as np
import pytest

from headfit.fitting.methods import method_of
from headfit.fitting.problem import Problem
from headfit.heads.chain import parse_head
from headfit.images.targets import Targets
from headfit.study.comparison.results import fold_metrics
from simulations import pooled_of
from targets_drawn import labels_of, maps_of, numbers_of, problem_of

CHAINS = ["gap-64", "attention", "low_rank"]


def cross_validated(chain, problem, maps):
    head = parse_head(chain)
    return method_of(head, pooled_of(maps, [head])).cross_validate(problem)


@pytest.mark.parametrize("chain", CHAINS)
def test_labels_are_learnt(chain):
    maps = maps_of(images=240)
    problem = problem_of(labels_of(maps), repeats=1)
    fit = cross_validated(chain, problem, maps)
    assert fit.probabilities.min() >= 0 and fit.probabilities.max() <= 1
    chance = problem.targets.values.mean()
    assert fold_metrics(fit, problem)["macro_average_precision"].mean() > chance + 0.2


def easy_numbers(maps):
    """What every head here can know: the mean of a channel, in units of its own."""
    return Targets.of_numbers(("year",), maps.mean(axis=(1, 2))[:, :1] * 40 + 2000)


@pytest.mark.parametrize("chain", CHAINS)
def test_numbers_are_learnt_in_their_own_units(chain):
    maps = maps_of(images=240)
    problem = problem_of(easy_numbers(maps), repeats=1)
    fit = cross_validated(chain, problem, maps)
    assert fold_metrics(fit, problem)["r2"].mean() > 0.5
    assert fit.probabilities.mean() == pytest.approx(2000, abs=3)


@pytest.mark.parametrize("chain", ["gap-64", "low_rank"])
@pytest.mark.parametrize("make", [labels_of, easy_numbers])
def test_a_head_on_all_images_predicts_them(chain, make):
    maps = maps_of(images=240)
    problem = problem_of(make(maps), repeats=1)
    head = parse_head(chain)
    method = method_of(head, pooled_of(maps, [head]))
    fitted = method.refit(problem, method.cross_validate(problem).final)
    score = problem.kind.score(fitted.probabilities(maps), problem.targets.values)
    assert score > (0.4 if problem.targets.kind == "number" else 0.6)


def test_units_change_nothing_but_the_units():
    maps = maps_of(images=120)
    targets = numbers_of(maps)
    other = Targets.of_numbers(targets.names, targets.values * 1000 + 5)
    one, two = (
        cross_validated("low_rank", problem_of(each, repeats=1, quick=True), maps)
        for each in (targets, other)
    )
    assert one.choices == two.choices
    spread = targets.values.std(axis=0)
    difference = (two.probabilities - 5) / 1000 - one.probabilities
    np.testing.assert_allclose(difference / spread, 0, atol=2e-3)


@pytest.mark.parametrize("chain", ["gap-8", "low_rank", "gap"])
def test_numbers_are_standardised_on_training_images_only(chain):
    maps = maps_of(images=120)
    targets = numbers_of(maps)
    problem = problem_of(targets, repeats=1, quick=True)
    held = problem.splits.held_out(0, 0)
    values = targets.values.copy()
    values[held] *= 100  # what no model of fold 0 may know
    other = Problem(Targets.of_numbers(targets.names, values), problem.splits, quick=True)
    one, two = (cross_validated(chain, each, maps) for each in (problem, other))
    difference = one.probabilities[0, held] - two.probabilities[0, held]
    np.testing.assert_allclose(difference / targets.values.std(axis=0), 0, atol=2e-3)


def test_hubers_loss_is_less_led_by_wrong_numbers():
    maps = maps_of(images=240)
    targets = easy_numbers(maps)
    wrong = targets.values.copy()
    wrong[::8] += 400  # one number in eight is far off, upwards
    right = []
    for loss in ("squared", "huber"):
        problem = problem_of(Targets.of_numbers(targets.names, wrong), repeats=1, loss=loss)
        fit = cross_validated("low_rank", problem, maps)
        right.append(np.abs(fit.probabilities[0] - targets.values).mean())
    assert right[1] < 0.7 * right[0]
