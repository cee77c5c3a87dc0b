"""Heads that are trained by gradient descent, from maps in the store to weights on raw maps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headfit.features.store import FeatureMaps
from headfit.fitting.descent import training as descent
from headfit.fitting.descent.budget import Schedule
from headfit.fitting.descent.network import Design
from headfit.fitting.descent.scaling import inputs_of
from headfit.fitting.descent.starts import starts
from headfit.fitting.methods import Descent, method_of
from headfit.fitting.metrics import balanced_accuracy
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import Problem
from headfit.heads.chain import parse_head
from headfit.heads.layers.plain import GAP
from headfit.heads.ridge_start import Goal, ridge_start
from headfit.study.protocol.crossval import cross_validate, refit
from headfit.study.protocol.ledger import Ledger
from headfit.study.protocol.splits import make_splits
from numbered import numbered
from stored_maps import store_maps

N, K = 90, 3
LABELS = np.arange(N) % K
SETTINGS = {"shape": None, "learning_rate": 3e-3, "weight_decay": 1.0, "epochs": 4}


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem(numbered(LABELS, K), make_splits(LABELS, folds=3, repeats=1, seed=0), quick=True)


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> FeatureMaps:
    """Maps in another scale than descent wants, whose classes differ in every position."""
    rng = np.random.default_rng(0)
    values = 3 + 2 * rng.normal(size=(K, 1, 1, 6))[LABELS] + rng.normal(size=(N, 4, 4, 6))
    return store_maps(tmp_path_factory.mktemp("maps"), 7 * np.maximum(values, 0))


@pytest.mark.parametrize(
    "chain",
    [
        *("gap-bn-8", "avgmax-dropout0.2-bn-8-bn", "gap-8-bn", "gap-8"),
        *("attention", "low_rank", "covariance-dropout0.2", "netvlad"),
        "multi_query-dropout0.2-8-bn",
    ],
)
def test_weights_on_raw_maps_predict_what_the_network_did(
    maps: FeatureMaps, problem: Problem, chain: str
) -> None:
    head = parse_head(chain)
    pooled = PooledFeatures(maps, (head.pooling,))
    fitted = Descent(head, pooled).refit(problem, SETTINGS)
    given = inputs_of(head, pooled, None)
    networks = descent.train(
        given.x,
        problem.targets,
        head.body,
        descent.Attempts(
            np.ones((1, N), bool),
            [SETTINGS["learning_rate"]],
            [SETTINGS["weight_decay"]],
            stop_epochs=[SETTINGS["epochs"]],
        ),
        schedule=Schedule(seed=problem.seed),
        pooling=head.trained,
    )
    scores = descent.scores(networks.weights, head.body, given.x, head.trained)
    (expected,) = problem.kind.link(scores)
    np.testing.assert_allclose(fitted.probabilities_of(maps), expected, atol=1e-5)


def planted(folder: Path, where: bool) -> FeatureMaps:
    """Maps with one bright position, whose class is where it lies, or what it shows there."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(N, 4, 4, 6)).astype(np.float32)
    spots = np.array([[0, 0], [3, 3], [0, 3]])[LABELS] if where else rng.integers(0, 4, (N, 2))
    what = np.zeros(N, int) if where else LABELS
    bright = 6 * np.eye(6, dtype=np.float32)[what]
    bright[:, 5] = 6  # says that this is the position to look at
    values[np.arange(N), spots[:, 0], spots[:, 1]] += bright
    if not where:  # on average over positions all classes look alike
        values[..., :3] -= values[..., :3].mean(axis=(1, 2), keepdims=True)
    return store_maps(folder, values)


@pytest.mark.parametrize(("chain", "where"), [("low_rank", True), ("attention", False)])
def test_a_trained_pooling_learns_what_averages_cannot_tell(
    tmp_path: Path, chain: str, where: bool
) -> None:
    head = parse_head(chain)
    settings = SETTINGS | {"learning_rate": 0.1, "weight_decay": 0.0, "epochs": 10}
    problem = Problem(numbered(LABELS, K), make_splits(LABELS, folds=3, repeats=1, seed=0))
    pooled = PooledFeatures(planted(tmp_path, where), (head.pooling,))
    fitted, again = (Descent(head, pooled).refit(problem, settings) for _ in range(2))
    assert balanced_accuracy(fitted.probabilities_of(pooled.maps), LABELS) > 0.9
    averages = pooled.features(GAP, None)
    linear = averages @ ridge_start(averages, Goal.of_classes(LABELS, K), np.random.default_rng(0))
    assert (linear.argmax(axis=1) == LABELS).mean() < 0.7
    for one, other in zip(fitted.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_held_out_does_not_show_through_a_start(maps: FeatureMaps) -> None:
    values = np.concatenate([piece for _, piece in maps.chunks()])
    train = np.arange(N)[None] < 60
    for chain in ("low_rank", "netvlad", "covariance"):
        design = Design((4, 4, 6), (), K, parse_head(chain).trained, chain != "low_rank")
        changed, labels = values.copy(), LABELS.copy()
        changed[60:] *= -3
        labels[60:] = 0
        plain, other = (
            starts(design, given, numbered(of, K), 0)(train)
            for given, of in ((values, LABELS), (changed, labels))
        )
        for one, same in zip(plain, other, strict=True):
            np.testing.assert_array_equal(one, same)
        everything = starts(design, changed, numbered(labels, K), 0)(np.ones((1, N), bool))
        assert any(not np.allclose(a, b) for a, b in zip(plain, everything, strict=True))


def test_a_head_with_batch_normalisation_learns_and_is_kept(
    maps: FeatureMaps, problem: Problem, tmp_path: Path
) -> None:
    head = parse_head("gap-bn-256-bn-dropout0.2")
    method = method_of(head, PooledFeatures(maps, (head.pooling,)))
    ledger = Ledger(tmp_path, ["maps"], problem)
    found = cross_validate(method, problem, ledger=ledger)
    assert balanced_accuracy(found.probabilities[0], LABELS) > 0.8
    fitted, stored = (refit(method, problem, found.final, ledger) for _ in range(2))
    assert stored.scale == fitted.scale
    for one, other in zip(fitted.weights, stored.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    other = replace(problem, seed=1)
    assert Ledger(tmp_path, ["maps"], other).cross_validation(method) is None
