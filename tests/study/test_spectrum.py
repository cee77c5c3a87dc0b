from __future__ import annotations

import json

import numpy as np
import pytest

from headfit.fitting.exact.method import Exact
from headfit.fitting.metrics import balanced_accuracy
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import Problem
from headfit.fitting.softmax import softmax
from headfit.heads.chain import parse_head
from headfit.heads.layers import FLATTEN, GAP, SPATIAL_PRIOR
from headfit.study.position.perturbation import ShiftCurve, VarianceParts, position_use
from headfit.study.position.spectrum import GRID, Spectrum, leading_prior, spectrum
from headfit.study.protocol.splits import make_splits
from numbered import numbered
from stored_maps import store_maps

LABELS = np.arange(120) % 2
HEADS = {1.0: parse_head("gap"), 0.0: parse_head("flatten")}


def maps_of(kind: str, seed: int = 0) -> np.ndarray:
    """Maps (120, 4, 4, 6) with a patch: the class is where it lies, or which channels it has."""
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(len(LABELS), 4, 4, 6))
    for image, label in enumerate(LABELS):
        row, column = rng.integers(4), rng.integers(2)
        if kind == "where":
            maps[image, row, column + 2 * label] += 4
        else:
            maps[image, row, 2 * column + rng.integers(2), 3 * label : 3 * label + 3] += 6
    return maps


@pytest.fixture(params=["where", "what"])
def kind(request):
    return request.param


@pytest.fixture
def studied(kind, tmp_path):
    pooled = PooledFeatures(store_maps(tmp_path, maps_of(kind)), (GAP, FLATTEN, SPATIAL_PRIOR))
    problem = Problem(numbered(LABELS), make_splits(LABELS, folds=5, repeats=1, seed=0))
    found = {tau: Exact(head, pooled).cross_validate(problem) for tau, head in HEADS.items()}
    return pooled, problem, found


def test_the_curve_is_best_at_the_end_that_the_images_were_made_for(kind, studied):
    pooled, problem, found = studied
    curve = spectrum(pooled, problem, {tau: o.probabilities[0] for tau, o in found.items()})
    assert curve.taus == GRID and len(curve.to_dict()["curve"]) == len(GRID)
    json.dumps(curve.to_dict(), allow_nan=False)
    if kind == "where":
        assert curve.nearest_gap < 1
        gap, *_, flatten = curve.scores.mean(axis=1)
        assert flatten > gap + 0.2
    else:
        assert curve.nearest_gap == 1.0
        assert leading_prior(curve.to_dict()) is None


def test_ends_that_are_not_known_are_computed_to_the_same(studied):
    pooled, problem, found = studied
    known = {tau: o.probabilities[0] for tau, o in found.items()}
    mine, theirs = spectrum(pooled, problem, {}), spectrum(pooled, problem, known)
    np.testing.assert_allclose(mine.losses, theirs.losses, rtol=1e-6)


def test_a_head_between_that_is_ahead_is_named():
    losses = np.tile(np.linspace(0.4, 0.3, len(GRID))[:, None], (1, 5))
    losses[4] = 0.1
    losses = losses + np.random.default_rng(0).normal(0, 0.005, losses.shape)
    curve = Spectrum(GRID, 1 - losses, losses, 500)
    assert curve.best == GRID[4]
    assert leading_prior(curve.to_dict())["tau"] == GRID[4]


def test_fold_models_predict_what_cross_validation_did(studied):
    pooled, problem, found = studied
    maps = np.concatenate([piece for _, piece in pooled.maps.chunks()])
    for tau, head in HEADS.items():
        kernels, biases = Exact(head, pooled).fold_models(problem, found[tau].choices)
        assert kernels.dtype == np.float32
        for fold in range(5):
            held = problem.splits.assignment[0] == fold
            logits = head.pooling.pool(maps[held]) @ kernels[fold] + biases[fold]
            np.testing.assert_allclose(
                softmax(logits.astype(np.float64)), found[tau].probabilities[0, held], atol=5e-3
            )


def test_shuffled_positions_spoil_only_what_used_them(kind, studied):
    pooled, problem, found = studied
    head = HEADS[0.0]
    models = Exact(head, pooled).fold_models(problem, found[0.0].choices)
    use = position_use(pooled.maps, problem, *models)
    plain = [
        balanced_accuracy(found[0.0].probabilities[0, held], LABELS[held])
        for held in (problem.splits.assignment[0] == fold for fold in range(5))
    ]
    np.testing.assert_allclose(use.plain, plain, atol=1e-9)
    drop = float((use.plain - use.shuffled).mean())
    if kind == "where":
        assert drop > 0.25 and use.parts.position > 0.5
    else:
        assert drop < 0.1 and use.parts.position < 0.5
    json.dumps(use.to_dict(use.plain), allow_nan=False)


def test_the_mean_over_permutations_is_the_head_projected_on_gap(tmp_path):
    rng = np.random.default_rng(0)
    maps, kernels = rng.normal(size=(30, 3, 3, 4)), rng.normal(size=(2, 36, 3))
    labels = np.arange(30) % 3
    problem = Problem(numbered(labels, 3), make_splits(labels, folds=2, repeats=1, seed=0))
    use = position_use(
        store_maps(tmp_path, maps), problem, kernels.astype(np.float32), np.zeros((2, 3))
    )
    for fold in range(2):
        held = problem.splits.assignment[0] == fold
        mean = maps[held].mean(axis=(1, 2))
        logits = mean @ kernels[fold].reshape(9, 4, 3).sum(axis=0)
        assert use.projected[fold] == pytest.approx(balanced_accuracy(logits, labels[held]))


def test_weights_that_are_the_same_everywhere_do_not_know_positions(tmp_path):
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(30, 3, 3, 4))
    kernels = np.tile(rng.normal(size=(2, 1, 4, 3)), (1, 9, 1, 1)).reshape(2, 36, 3)
    labels = np.arange(30) % 3
    problem = Problem(numbered(labels, 3), make_splits(labels, folds=2, repeats=1, seed=0))
    use = position_use(
        store_maps(tmp_path, maps), problem, kernels.astype(np.float32), np.zeros((2, 3))
    )
    assert use.parts.position == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(use.shuffled, use.plain)
    np.testing.assert_allclose(use.projected, use.plain)


def test_shares_of_variance_count_the_covariance_of_the_parts():
    rng = np.random.default_rng(0)
    common, noise = rng.normal(size=(2, 4000, 1))
    position = common + noise  # Var 2, covariance 1, Var of the sum 5
    parts = VarianceParts.of(common, position)
    assert parts.position == pytest.approx(2 / 5, abs=0.03)
    assert parts.covariance == pytest.approx(2 / 5, abs=0.03)
    folds = np.arange(4000) % 2
    moved = VarianceParts.of(common + 9 * folds[:, None], position, folds)  # each model's own mean
    assert moved.position == pytest.approx(parts.position, abs=0.01)
    assert VarianceParts.of(0 * common, 0 * common) == VarianceParts(0.0, 0.0)


def test_one_fixed_permutation_of_all_maps_changes_nothing(tmp_path):
    maps = maps_of("where")
    turned = maps.reshape(len(maps), 16, 6)[:, np.random.default_rng(1).permutation(16)]
    problem = Problem(numbered(LABELS), make_splits(LABELS, folds=4, repeats=1, seed=0))
    found = [
        Exact(
            HEADS[0.0], PooledFeatures(store_maps(tmp_path / name, values), (FLATTEN,))
        ).cross_validate(problem)
        for name, values in (("plain", maps), ("turned", turned.reshape(maps.shape)))
    ]
    np.testing.assert_allclose(found[0].probabilities, found[1].probabilities, atol=2e-3)


@pytest.mark.parametrize(("spread", "found"), [(0.001, True), (0.03, False), (0.0, False)])
def test_a_lead_counts_only_beyond_the_noise_and_the_choice_among_all(spread, found):
    rng = np.random.default_rng(0)
    losses = np.full((len(GRID), 10), 0.4)
    accuracy = np.full((len(GRID), 10), 0.8) + 1e-3 * rng.normal(size=losses.shape)
    accuracy[4] = accuracy[0] + 0.02 + spread * np.linspace(-1, 1, 10)
    lead = leading_prior(Spectrum(GRID, accuracy, losses, 500).to_dict())
    assert (lead is not None) == found  # with no spread at all the noise is unknown
    if lead:
        assert lead["tau"] == GRID[4]


def test_flatten_itself_is_left_to_the_verdict():
    accuracy = np.full((len(GRID), 10), 0.8) + 1e-3 * np.random.default_rng(0).normal(
        size=(len(GRID), 10)
    )
    accuracy[-1] += 0.1
    assert leading_prior(Spectrum(GRID, accuracy, 1 - accuracy, 500).to_dict()) is None


def test_a_shift_is_measured_against_the_logits_before_it():
    logits = np.zeros((2, 3, 2))
    logits[:, 0] = (2.0, 0.0)  # centred: 1, −1
    logits[:, 1] = (12.0, 10.0)  # the same to every class
    logits[:, 2] = (0.0, 2.0)
    curve = ShiftCurve.of((8, 16), logits)
    np.testing.assert_allclose(curve.change, [[0, 2], [0, 2]], atol=1e-12)
    assert [point["flipped"] for point in curve.to_list()] == [0.0, 1.0]
