from __future__ import annotations

import numpy as np
import pytest
from scipy.special import huber

from headfit.fitting.descent.losses import LOSSES, watched
from headfit.fitting.kinds import KINDS
from headfit.fitting.problem import HUBER
from headfit.images import targets
from headfit.images.targets import Targets
from numbered import numbered

SCORES = np.random.default_rng(0).normal(size=(7, 3))
HAS = np.random.default_rng(1).integers(0, 2, (7, 3))
SOME = {
    targets.CLASS: numbered(np.arange(7) % 3),
    targets.LABELS: Targets(("a", "b", "c"), HAS, targets.LABELS),
    targets.NUMBER: Targets.of_numbers(("x", "y", "z"), np.arange(21.0).reshape(7, 3)),
}
each_kind = pytest.mark.parametrize("name", targets.KINDS)


def test_every_kind_of_target_has_its_mathematics():
    assert set(KINDS) == set(LOSSES) - {HUBER} == set(targets.KINDS) == set(SOME)


@each_kind
def test_targets_that_are_predicted_exactly_have_the_best_score(name):
    kind, some = KINDS[name], SOME[name]
    encoded = kind.encode(some)
    np.testing.assert_array_equal(kind.decide(encoded), some.values)
    assert kind.score(encoded, some.values) == 1.0
    assert kind.primary in kind.metrics and set(kind.secondary) <= set(kind.metrics)
    assert kind.bounds(kind.primary)[1] == 1.0


@each_kind
def test_all_solvers_have_one_loss(name):
    kind, values = KINDS[name], SOME[name].values
    expected = kind.losses(SCORES.T, values)
    np.testing.assert_allclose(LOSSES[name](SCORES, values), expected, rtol=1e-5)
    (found,) = watched(name, SCORES[None], values)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    if name != targets.NUMBER:  # of numbers the loss in words is the root of it
        assert kind.loss(kind.link(SCORES), values) == pytest.approx(expected.mean())


def test_hubers_loss_is_that_of_scipy_twice():
    values = SOME[targets.NUMBER].values * 0.2
    expected = 2 * huber(1.345, SCORES - values).mean(axis=1)
    np.testing.assert_allclose(LOSSES[HUBER](SCORES, values), expected, rtol=1e-5)
    np.testing.assert_allclose(watched(HUBER, SCORES[None], values)[0], expected, rtol=1e-5)


@pytest.mark.parametrize("name", [targets.CLASS, targets.LABELS])
def test_the_exact_solver_has_it_too(name):
    kind, some = KINDS[name], SOME[name]
    rows = kind.rows(np.zeros((7, 1)), some)
    scores, share = SCORES.T[None].copy(), np.ones((1, 7))
    if rows.separate:  # a problem for each label
        scores, share = scores.transpose(1, 0, 2), np.ones((3, 7))
    total, errors = rows.losses(scores, share, np.arange(len(scores)))
    outputs = some.count if rows.separate else 1
    expected = kind.losses(SCORES.T, some.values)
    assert total.sum() == pytest.approx(outputs * expected.sum())
    slopes = (kind.link(SCORES) - kind.encode(some)).T
    np.testing.assert_allclose(errors.reshape(slopes.shape), slopes, atol=1e-12)


@each_kind
def test_many_weightings_are_scored_as_one_by_one(name):
    kind, some, rng = KINDS[name], SOME[name], np.random.default_rng(2)
    predictions = kind.link(SCORES)
    counts = rng.integers(0, 3, (9, 7)).astype(float)
    counts[:, :3] += 1
    found = kind.weighted(predictions, some.values, counts)
    for row, weights in zip(found, counts, strict=True):
        rows = np.arange(7).repeat(weights.astype(int))
        assert row == pytest.approx(kind.score(predictions[rows], some.values[rows]))
