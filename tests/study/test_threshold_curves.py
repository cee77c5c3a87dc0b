"""ROC and precision–recall of two classes, and the points that are kept of numbers."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from headfit.study.reliability.held_out_points import held_out_points
from headfit.study.reliability.threshold_curves import STEP, threshold_curves


def drawn(images: int, seed: int = 0, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(images) < 0.3).astype(int)
    p = np.clip(0.5 + 0.2 * labels + 0.2 * rng.normal(size=images), 0, 1)
    return np.round(p, 1) if ties else p, labels


def curves_of(p: np.ndarray, labels: np.ndarray, **more: np.ndarray) -> dict:
    return threshold_curves(np.stack([1 - p, p], axis=-1)[None], labels, **more)


@pytest.mark.parametrize("ties", [False, True])
def test_areas_are_those_of_scikit_learn(ties: bool) -> None:
    p, labels = drawn(400, ties=ties)
    weights = np.random.default_rng(1).random(400) + 0.5
    for weight in (None, weights):
        found = curves_of(p, labels, weights=weight)
        assert found["auroc"] == pytest.approx(roc_auc_score(labels, p, sample_weight=weight))
        expected = average_precision_score(labels, p, sample_weight=weight)
        assert found["average_precision"] == pytest.approx(expected)


def test_points_lie_on_the_curves_and_are_few() -> None:
    p, labels = drawn(5000)
    found = curves_of(p, labels)
    fpr, tpr, _ = roc_curve(labels, p, drop_intermediate=False)
    precision, recall, _ = precision_recall_curve(labels, p)
    for key, whole in (("roc", (fpr, tpr)), ("precision_recall", (recall, precision))):
        points, every = np.array(found[key]), np.stack(whole, axis=1)
        apart = np.abs(points[:, None] - every[None]).max(axis=2).min(axis=1)
        assert apart.max() < 1e-4
        # and nothing of the curve is far from a point
        assert np.abs(points[None] - every[:-1, None]).max(axis=2).min(axis=1).max() < 2 * STEP
        assert len(points) < 1000
    assert found["roc"][0] == [0, 0] and found["roc"][-1] == [1, 1]


def test_the_curve_is_that_of_the_rarer_class() -> None:
    p, labels = drawn(200)
    found = curves_of(p, labels)
    assert found["class"] == 1 and found["share"] == pytest.approx(labels.mean())
    other = curves_of(p, 1 - labels)
    assert other["class"] == 0 and other["auroc"] == pytest.approx(1 - found["auroc"])


def test_repeats_are_in_one_curve() -> None:
    p, labels = drawn(100)
    twice = threshold_curves(np.stack([np.stack([1 - p, p], axis=-1)] * 2), labels)
    assert twice == curves_of(p, labels)


def test_points_of_numbers_are_means_of_some_images() -> None:
    values = np.arange(2400.0).reshape(1200, 2)
    predictions = np.stack([values - 1, values + 3])
    found = held_out_points(predictions, values, most=50)
    assert found["images"] == 1200 and len(found["true"]) == 50
    assert np.array_equal(np.array(found["predicted"]), np.array(found["true"]) + 1)
    assert found == held_out_points(predictions, values, most=50)
    assert len(held_out_points(predictions[:, :9], values[:9])["true"]) == 9
