"""Weights of images: one of weight 2 counts as two of weight 1, in every loss and metric."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

from headfit.errors import UsageError
from headfit.features.store import FeatureStore
from headfit.fitting.descent import training
from headfit.fitting.descent.budget import Schedule
from headfit.fitting.exact.method import Exact
from headfit.fitting.kinds import KINDS
from headfit.fitting.metrics import METRICS, balanced_accuracies
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import Problem
from headfit.heads.chain import parse_head
from headfit.images.targets import Targets
from headfit.study.comparison.selection import expected_score
from headfit.study.protocol.splits import make_splits
from headfit.study.reliability.calibration import calibrate
from numbered import numbered

GAP = parse_head("gap")
LABELS = np.arange(60) % 3
RNG = np.random.default_rng(0)
WEIGHTS = RNG.integers(1, 4, 60).astype(float)
TWICE = np.arange(60).repeat(WEIGHTS.astype(int))
MAPS = (RNG.normal(size=(60, 2, 2, 5)) + LABELS[:, None, None, None]).astype(np.float32)
PROBABILITIES = RNG.dirichlet(np.ones(3), 60)


def problem(labels: np.ndarray, **weights: np.ndarray) -> Problem:
    splits = make_splits(labels, folds=3, repeats=1, seed=0)
    return Problem(replace(numbered(labels, 3), **weights), splits)


def features(tmp_path, rows: np.ndarray) -> PooledFeatures:
    store = FeatureStore(tmp_path)
    store.append(list(map(str, range(len(rows)))), MAPS[rows])
    return PooledFeatures(store.maps(list(map(str, range(len(rows))))), (GAP.pooling,))


@pytest.mark.parametrize("name", sorted(METRICS))
def test_an_image_of_weight_two_counts_twice_in_every_metric(name):
    weighted = METRICS[name](PROBABILITIES, LABELS, WEIGHTS)
    assert weighted == pytest.approx(METRICS[name](PROBABILITIES[TWICE], LABELS[TWICE], None))


def test_weighted_metrics_agree_with_scikit_learn():
    found, predicted = (
        KINDS["class"].evaluate(PROBABILITIES, LABELS, WEIGHTS),
        PROBABILITIES.argmax(axis=1),
    )
    given = {"sample_weight": WEIGHTS}
    recall = sk.recall_score(LABELS, predicted, average="macro", **given)
    assert found["balanced_accuracy"] == pytest.approx(recall)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(LABELS, predicted, **given))
    assert found["log_loss"] == pytest.approx(sk.log_loss(LABELS, PROBABILITIES, **given))
    areas = [sk.roc_auc_score(k == LABELS, PROBABILITIES[:, k], **given) for k in range(3)]
    assert found["auroc"] == pytest.approx(np.mean(areas))


def test_equal_weights_change_no_metric():
    plain, equal = (
        KINDS["class"].evaluate(PROBABILITIES, LABELS),
        KINDS["class"].evaluate(PROBABILITIES, LABELS, np.full(60, 7.0)),
    )
    assert equal == pytest.approx(plain)


def test_an_exact_fit_with_weights_is_that_of_scikit_learn(tmp_path):
    fitted = Exact(GAP, features(tmp_path, np.arange(60))).refit(
        problem(LABELS, weights=WEIGHTS), {"shape": None, "penalty": 1e-2}
    )
    kernel, bias = fitted.weights
    x = MAPS.mean(axis=(1, 2), dtype=np.float64)
    # headfit's penalty is relative to the mean square norm of centred features
    penalty = 1e-2 * np.square(x - x.mean(axis=0)).sum(axis=1).mean() * WEIGHTS.sum()
    model = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=5000)
    model.fit(x, LABELS, sample_weight=WEIGHTS)
    expected = model.predict_proba(x)
    logits = x @ kernel + bias
    found = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(found / found.sum(axis=1, keepdims=True), expected, atol=1e-4)


def test_a_balanced_loss_is_that_of_weights_by_class(tmp_path):
    few = np.r_[np.arange(0, 60, 3), np.arange(1, 60, 3)[:6], np.arange(2, 60, 3)]
    labels = LABELS[few]
    by_class = (len(few) / np.bincount(labels) / 3)[labels]
    settings = {"shape": None, "penalty": 1e-2}
    balanced = problem(labels)
    balanced = replace(balanced, targets=balanced.targets.balanced())
    method = Exact(GAP, features(tmp_path, few))
    one = method.refit(balanced, settings).weights
    other = method.refit(problem(labels, weights=by_class), settings).weights
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_equal_weights_choose_and_score_as_none(tmp_path):
    method = Exact(GAP, features(tmp_path, np.arange(60)))
    plain = method.cross_validate(problem(LABELS))
    equal = method.cross_validate(problem(LABELS, weights=np.full(60, 3.0)))
    assert equal.choices == plain.choices
    np.testing.assert_allclose(equal.probabilities, plain.probabilities, atol=1e-5)


def test_gradient_descent_follows_the_weights():
    x = np.zeros((60, 2), np.float32)  # nothing but the shares of the classes can be learnt
    heavy = np.where(LABELS == 0, 8.0, 1.0)
    networks = training.train(
        x,
        replace(numbered(LABELS, 3), weights=heavy),
        (),
        training.Attempts(np.ones((1, 60), bool), [0.1], [0.0]),
        schedule=Schedule(seed=0),
    )
    logits = networks.weights[-1][0]
    shares = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(shares, [0.8, 0.1, 0.1], atol=0.05)


def test_the_temperature_and_the_expected_score_count_by_weight():
    folds = np.zeros((1, 60), int)
    folds[0, 30:] = 1
    weighted = calibrate(PROBABILITIES[None], LABELS, folds, weights=WEIGHTS)
    repeated = calibrate(PROBABILITIES[TWICE][None], LABELS[TWICE], folds[:, TWICE])
    assert weighted.fitted == pytest.approx(repeated.fitted, rel=1e-3)
    right = (LABELS == 0)[None].astype(float)  # right on the images of one class
    only = np.where(LABELS == 0, 1.0, 1e-9)
    scores = partial(balanced_accuracies, right, np.zeros(60, int))
    score, _, _ = expected_score(scores, np.ones(1), 60, seed=0, weights=only)
    assert score > 0.99  # a bag may hold every image of the class


@pytest.mark.parametrize("wrong", [np.ones(2), np.array([1.0, 0.0, 1.0]), np.array([1, np.nan, 1])])
def test_weights_that_cannot_be_are_refused(wrong):
    with pytest.raises(UsageError, match="`weights` must"):
        Targets.of_classes(["a", "b", "a"], weights=wrong)
