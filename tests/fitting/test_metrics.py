import warnings

import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from headfit.fitting import metrics
from headfit.fitting.kinds import KINDS


def draw(seed, n=60, classes=4, ties=False):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(classes), size=n)
    if ties:
        probabilities = np.round(probabilities * 4) + 0.5
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    labels = np.concatenate([np.arange(classes), rng.integers(classes, size=n - classes)])
    return probabilities, labels


def test_the_registry_has_the_names_of_the_results_file():
    assert list(metrics.METRICS) == (
        ["balanced_accuracy", "accuracy", "macro_f1", "log_loss", "brier", "auroc"]
    )


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.integers(3, 6))
def test_metrics_agree_with_scikit_learn(seed, classes):
    p, y = draw(seed, classes=classes)
    predicted, onehot = p.argmax(axis=1), np.eye(classes)[y]
    expected = {
        "balanced_accuracy": reference.balanced_accuracy_score(y, predicted),
        "accuracy": reference.accuracy_score(y, predicted),
        "macro_f1": reference.f1_score(y, predicted, average="macro", zero_division=0),
        "log_loss": reference.log_loss(y, p),
        "brier": sum(reference.brier_score_loss(onehot[:, k], p[:, k]) for k in range(classes)),
        "auroc": reference.roc_auc_score(y, p, multi_class="ovr", average="macro"),
    }
    found = KINDS["class"].evaluate(p, y)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12), name


def test_classes_that_tie_share_the_image_evenly():
    p = np.array([[0.4, 0.4, 0.2], [0.4, 0.4, 0.2], [0.2, 0.4, 0.4], [0.1, 0.8, 0.1]])
    y = np.array([0, 2, 2, 1])
    np.testing.assert_allclose(metrics.credit(p, y), [1 / 2, 0, 1 / 2, 1])
    assert metrics.accuracy(p, y) == pytest.approx(2 / 4)
    assert metrics.balanced_accuracy(p, y) == pytest.approx((1 / 2 + 1 + 1 / 4) / 3)
    # F1 of each class: 2 × hits / (images + predictions)
    expected = np.mean([2 * 0.5 / (1 + 1.0), 2 * 1 / (1 + 2.5), 2 * 0.5 / (2 + 0.5)])
    assert metrics.macro_f1(p, y) == pytest.approx(expected)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.integers(2, 5))
def test_ties_count_as_the_mean_of_all_ways_to_break_them(seed, classes):
    p, y = draw(seed, n=20, classes=classes, ties=True)
    rng = np.random.default_rng(seed)
    broken = [metrics.accuracy(p + rng.random(p.shape) * 1e-9, y) for _ in range(1000)]
    # twenty images of variance 1/4 at most, 1000 draws: five standard errors
    assert metrics.accuracy(p, y) == pytest.approx(np.mean(broken), abs=5 / np.sqrt(4 * 20 * 1000))


def test_two_classes_give_the_binary_area_under_the_curve():
    p, y = draw(3, classes=2)
    assert metrics.auroc(p, y) == pytest.approx(reference.roc_auc_score(y, p[:, 1]))


def test_a_class_missing_in_a_fold_is_left_out():
    p, y = draw(1)
    p, y = p[y != 2], y[y != 2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = reference.balanced_accuracy_score(y, p.argmax(axis=1))
    assert metrics.balanced_accuracy(p, y) == pytest.approx(expected)
    each = [reference.roc_auc_score(y == k, p[:, k]) for k in (0, 1, 3)]
    assert metrics.auroc(p, y) == pytest.approx(np.mean(each))


def test_area_under_the_curve_is_undefined_for_a_single_class():
    assert np.isnan(metrics.auroc(np.full((3, 2), 0.5), np.zeros(3, int)))


def test_a_certain_mistake_costs_a_finite_loss():
    p, y = np.array([[1.0, 0.0]]), np.array([1])
    assert metrics.log_loss(p, y) == pytest.approx(-np.log(1e-15))
    assert metrics.brier(p, y) == pytest.approx(2.0)


def test_calibration_error_by_hand():
    # 20 images, so two bins of ten: confidence .6 with 8 hits, confidence .9 with 6 hits.
    p = np.array([[0.6, 0.4]] * 10 + [[0.9, 0.1]] * 10)
    y = np.array([0] * 8 + [1] * 2 + [0] * 6 + [1] * 4)
    assert metrics.ece(p, y) == pytest.approx(0.5 * 0.2 + 0.5 * 0.3)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(4, 400), st.booleans())
def test_calibration_error_is_a_fraction_and_ignores_the_order_of_images(seed, n, ties):
    p, y = draw(seed, n=n, ties=ties)
    order = np.random.default_rng(seed).permutation(n)
    value = metrics.ece(p, y)
    assert 0 <= value <= 1
    assert metrics.ece(p[order], y[order]) == pytest.approx(value)


def test_honest_probabilities_are_calibrated():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), size=20_000)
    y = (rng.random((len(p), 1)) > p.cumsum(axis=1)).sum(axis=1)
    assert metrics.ece(p, y) < 0.02


@pytest.mark.parametrize(
    ("probabilities", "labels"),
    [
        (np.zeros((0, 2)), np.zeros(0, int)),
        (np.full((3, 2), 0.5), np.zeros(2, int)),
        (np.full(3, 0.5), np.zeros(3, int)),
        (np.array([[np.nan, 1.0]]), np.zeros(1, int)),
    ],
)
def test_evaluate_refuses_what_is_no_prediction(probabilities, labels):
    with pytest.raises(ValueError, match="predictions must be"):
        KINDS["class"].evaluate(probabilities, labels)
