"""Predictions of images left out, against models that are trained without them."""

from __future__ import annotations

import numpy as np
import pytest

from headfit.errors import DataError, EngineError
from headfit.fitting.exact import loo
from headfit.fitting.exact.loo import PENALTIES, LeaveOut, leave_out
from numbered import numbered

TALL, SQUARE, WIDE = (40, 6), (25, 25), (30, 200)


def some_features(n: int, d: int, *, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n + d)
    labels = np.arange(n) % classes
    features = rng.normal(size=(n, d)) * np.logspace(0, -3, d) + 5
    features[:, 0] += labels
    return features, labels


def refitted(
    features: np.ndarray, labels: np.ndarray, left_out: np.ndarray, penalty: float
) -> np.ndarray:
    """Solve the augmented least squares problem of the other images, its μ fixed by all of them."""
    centred = features - features.mean(axis=0)
    mu = penalty * np.square(centred).sum()
    kept = np.setdiff1d(np.arange(len(features)), left_out)
    d = features.shape[1]
    design = np.hstack([np.ones((len(kept), 1)), centred[kept]])
    ridge = np.hstack([np.zeros((d, 1)), np.sqrt(mu) * np.eye(d)])
    targets = np.vstack([np.eye(labels.max() + 1)[labels[kept]], np.zeros((d, labels.max() + 1))])
    solution, *_ = np.linalg.lstsq(np.vstack([design, ridge]), targets, rcond=None)
    return np.hstack([np.ones((len(left_out), 1)), centred[left_out]]) @ solution


@pytest.mark.parametrize("penalty", [10.0, 1e-2, 1e-6])
@pytest.mark.parametrize("shape", [TALL, SQUARE, WIDE])
def test_leaving_out_an_image_equals_a_fit_without_it(
    shape: tuple[int, int], penalty: float
) -> None:
    features, labels = some_features(*shape)
    found = LeaveOut(features, np.eye(3)[labels]).predictions(penalty)
    wanted = [refitted(features, labels, np.array([i]), penalty)[0] for i in range(len(labels))]
    np.testing.assert_allclose(found, wanted, atol=1e-8)


@pytest.mark.parametrize("shape", [TALL, WIDE])
def test_leaving_out_a_group_equals_a_fit_without_it(shape: tuple[int, int]) -> None:
    features, labels = some_features(*shape)
    groups = np.random.default_rng(1).integers(0, 12, len(labels))
    groups[:3] = 77
    features[1] = features[0]  # a copy
    found = LeaveOut(features, np.eye(3)[labels], groups).predictions(1e-3)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        wanted = refitted(features, labels, members, 1e-3)
        np.testing.assert_allclose(found[members], wanted, atol=1e-8)


def test_a_copy_helps_only_if_it_is_not_in_the_group() -> None:
    rng = np.random.default_rng(0)
    features = np.repeat(rng.normal(size=(30, 50)), 2, axis=0)  # noise, every row twice
    labels = np.repeat(rng.integers(0, 2, 30), 2)
    copies = np.repeat(np.arange(30), 2)
    leaked, fair = (
        leave_out(features, numbered(labels, 2), groups=groups).predictions.argmax(axis=1) == labels
        for groups in (None, copies)
    )
    assert leaked.mean() > 0.95
    assert fair.mean() < 0.7


@pytest.mark.parametrize("shape", [TALL, WIDE])
def test_blocks_of_rows_change_nothing(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    features, labels = some_features(*shape)
    groups = np.arange(len(labels)) % 9
    whole = leave_out(features, numbered(labels, 3), groups=groups)
    monkeypatch.setattr(loo, "ROWS", 7)
    parts = leave_out(features, numbered(labels, 3), groups=groups)
    np.testing.assert_allclose(parts.predictions, whole.predictions, atol=1e-10)
    assert parts.penalty == whole.penalty


def test_the_penalty_has_the_least_squared_error_and_no_unit() -> None:
    features, labels = some_features(60, 40)
    found = leave_out(features, numbered(labels, 3))
    targets = np.eye(3)[labels]
    by_hand = [
        np.square(LeaveOut(features, np.eye(3)[labels]).predictions(p) - targets).sum(axis=1).mean()
        for p in PENALTIES
    ]
    np.testing.assert_allclose(found.errors, by_hand)
    assert found.penalty == PENALTIES[int(np.argmin(by_hand))]
    assert not found.at_edge
    scaled = leave_out(1000 * features - 3, numbered(labels, 3))
    assert scaled.penalty == found.penalty
    np.testing.assert_allclose(scaled.predictions, found.predictions, atol=1e-8)


def test_a_choice_at_the_edge_of_the_grid_is_said() -> None:
    noise = np.random.default_rng(3).normal(size=(50, 80))
    found = leave_out(noise, numbered(np.arange(50) % 2, 2), penalties=(1.0, 1e-2, 1e-4))
    assert found.penalty == 1.0
    assert found.at_edge


def test_features_that_say_nothing_are_as_good_as_a_guess_and_not_worse() -> None:
    labels = np.arange(400) % 2
    noise = np.random.default_rng(3).normal(size=(400, 20))
    found = leave_out(noise, numbered(labels, 2))
    naive = (found.predictions.argmax(axis=1) == labels).mean()
    assert naive < 0.2
    assert 0.4 < (found.predicted == labels).mean() < 0.6


def test_the_class_is_decided_at_the_shares_of_all_images() -> None:
    features, labels = some_features(60, 8)
    groups = np.arange(60) // 4
    found = leave_out(features, numbered(labels, 3), groups=groups)
    for group in range(15):
        others = labels[groups != group]
        seen, whole = (np.bincount(some, minlength=3) / len(some) for some in (others, labels))
        wanted = (found.predictions[groups == group] - seen + whole).argmax(axis=1)
        np.testing.assert_array_equal(found.predicted[groups == group], wanted)


def test_features_without_variance_predict_the_share_of_the_others() -> None:
    labels = np.array([0, 0, 0, 1])
    found = leave_out(np.ones((4, 3), np.float32), numbered(labels, 2)).predictions
    np.testing.assert_allclose(found, [[2 / 3, 1 / 3]] * 3 + [[1, 0]])


def test_one_group_or_values_that_are_not_finite_are_refused() -> None:
    features, labels = some_features(*TALL)
    with pytest.raises(DataError, match="one group"):
        leave_out(features, numbered(labels, 3), groups=np.zeros(len(labels)))
    features[3, 3] = np.inf
    with pytest.raises(EngineError, match="not finite"), np.errstate(invalid="ignore"):
        leave_out(features, numbered(labels, 3))


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, 1e-19, 1e6])
@pytest.mark.parametrize("shape", [TALL, WIDE])
def test_equal_features_are_right_as_often_as_an_even_guess(
    value: float, shape: tuple[int, int]
) -> None:
    labels = np.arange(shape[0]) % 2
    found = leave_out(np.full(shape, value, np.float32), numbered(labels, 2))
    np.testing.assert_array_equal(found.hits, 0.5)
    paired = leave_out(
        np.full(shape, value, np.float32), numbered(labels, 2), groups=np.arange(shape[0]) // 2
    )
    np.testing.assert_array_equal(paired.hits, 0.5)


def test_where_nothing_ties_a_hit_is_a_decision_for_the_label() -> None:
    features, labels = some_features(60, 40)
    found = leave_out(features, numbered(labels, 3))
    np.testing.assert_array_equal(found.hits, found.predicted == labels)
