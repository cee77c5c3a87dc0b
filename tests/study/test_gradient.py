"""Heads that are trained by gradient descent, from maps in the store to weights on raw maps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headfit.features.store import FeatureMaps
from headfit.fitting import descent
from headfit.fitting.budget import Schedule
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.scaling import inputs_of
from headfit.heads.chain import parse_head
from headfit.study import gradient
from headfit.study.crossval import cross_validate
from headfit.study.ledger import Ledger
from headfit.study.metrics import balanced_accuracy
from headfit.study.problem import Problem
from headfit.study.splits import make_splits
from stored import keep

N, K = 90, 3
LABELS = np.arange(N) % K
SETTINGS = {"shape": None, "learning_rate": 3e-3, "weight_decay": 1.0, "epochs": 4}


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem(LABELS, K, make_splits(LABELS, folds=3, repeats=1, seed=0), quick=True)


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> FeatureMaps:
    """Maps in another scale than descent wants, whose classes differ in every position."""
    rng = np.random.default_rng(0)
    values = 3 + 2 * rng.normal(size=(K, 1, 1, 6))[LABELS] + rng.normal(size=(N, 4, 4, 6))
    return keep(tmp_path_factory.mktemp("maps"), 7 * np.maximum(values, 0))


@pytest.mark.parametrize("chain", ["gap-bn-8", "avgmax-dropout0.2-bn-8-bn", "gap-8-bn", "gap-8"])
def test_weights_on_raw_maps_predict_what_the_network_did(
    maps: FeatureMaps, problem: Problem, chain: str
) -> None:
    head = parse_head(chain)
    pooled = PooledFeatures(maps, (head.pooling,))
    fitted = gradient.refit(head, pooled, problem, SETTINGS)
    given = inputs_of(head, pooled, None)
    networks = descent.train(
        given.x,
        LABELS,
        K,
        head.body,
        np.ones((1, N), bool),
        np.array([SETTINGS["learning_rate"]]),
        np.array([SETTINGS["weight_decay"]]),
        schedule=Schedule(seed=problem.seed),
        pooling=head.trained,
        stop_epochs=np.array([SETTINGS["epochs"]]),
    )
    (expected,) = descent.predict(networks.weights, head.body, given.x, head.trained)
    np.testing.assert_allclose(fitted.probabilities_of(maps), expected, atol=1e-5)


def test_a_head_with_batch_normalisation_learns_and_is_kept(
    maps: FeatureMaps, problem: Problem, tmp_path: Path
) -> None:
    head = parse_head("gap-bn-256-bn-dropout0.2")
    pooled, ledger = PooledFeatures(maps, (head.pooling,)), Ledger(tmp_path, ["maps"], problem)
    found = cross_validate(head, pooled, problem, ledger=ledger)
    assert balanced_accuracy(found.probabilities[0], LABELS) > 0.8
    fitted, kept = found.refit(), found.refit()
    assert kept.scale == fitted.scale
    for one, other in zip(fitted.weights, kept.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    other = replace(problem, seed=1)
    assert Ledger(tmp_path, ["maps"], other).outcome(head) is None
