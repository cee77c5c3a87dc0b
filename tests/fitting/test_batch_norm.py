"""Batch normalisation in networks that are trained together."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
import pytest

from headfit.fitting.descent.budget import Schedule
from headfit.fitting.descent.network import Design, after, initial_weights, settle
from headfit.fitting.descent.training import Attempts, Networks, scores, train
from headfit.fitting.metrics import log_loss
from headfit.fitting.softmax import softmax
from headfit.heads.body import BATCH_NORM_EPSILON, BatchNorm, Dense, Dropout
from numbered import numbered

N, D, K = 60, 5, 3
RNG = np.random.default_rng(3)
LABELS = np.arange(N) % K
FEATURES = (2 * RNG.normal(size=(K, D))[LABELS] + RNG.normal(size=(N, D))).astype(np.float32)
FOLDS = np.arange(N) // K % 3 == np.arange(3)[:, None]
BODY = (BatchNorm(), Dropout(0.2), Dense(6), BatchNorm())
PLAIN = (BatchNorm(), Dense(6), BatchNorm())
DESIGN = Design((D,), PLAIN, K)


def fit(features=FEATURES, labels=LABELS, body=BODY, masks=~FOLDS, **more) -> Networks:
    rates, decays = np.full(len(masks), 0.03), np.full(len(masks), 0.1)
    schedule = Schedule(epochs=3, batch_size=20, seed=1)
    attempts = Attempts(masks, rates, decays, **more)
    return train(features, numbered(labels, K), body, attempts, schedule=schedule)


def random_weights() -> list[np.ndarray]:
    return [
        (start + 0.3 * RNG.random(start.shape)).astype(np.float32)
        for start in initial_weights(DESIGN, 0)
    ]


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """Momentum 0 lets the moving statistics be those of the last batch."""
    norms = [keras.layers.BatchNormalization(momentum=0, epsilon=BATCH_NORM_EPSILON) for _ in "12"]
    dense = [keras.layers.Dense(6, "relu"), keras.layers.Dense(K)]
    return keras.Sequential([keras.Input((D,)), norms[0], dense[0], norms[1], dense[1]])


def test_training_and_inference_are_those_of_keras(model):
    weights, batch = random_weights(), FEATURES[:20]
    model.set_weights(weights)
    np.testing.assert_allclose(after(weights, DESIGN, batch), np.asarray(model(batch)), atol=2e-5)
    counts = (np.arange(N) < 20).astype(np.float32)
    trained = np.asarray(model(batch, training=True))
    found = after(weights, DESIGN, FEATURES, counts)[:20]
    np.testing.assert_allclose(found, trained, atol=2e-5)
    assert not np.allclose(found, after(weights, DESIGN, batch), atol=1e-2)
    for own, theirs in zip(
        settle(weights, DESIGN, FEATURES, counts), model.get_weights(), strict=True
    ):
        np.testing.assert_allclose(own, theirs, atol=2e-5)


def test_the_statistics_kept_are_those_of_the_training_images():
    for model, weights in enumerate(zip(*fit().weights, strict=True)):
        seen = FEATURES[~FOLDS[model]]
        gamma, beta, mean, variance, kernel, bias = weights[:6]
        np.testing.assert_allclose(mean, seen.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(variance, seen.var(axis=0), rtol=1e-5)
        first = gamma * (seen - mean) / np.sqrt(variance + BATCH_NORM_EPSILON) + beta
        hidden = np.maximum(first @ kernel + bias, 0)
        np.testing.assert_allclose(weights[8], hidden.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(weights[9], hidden.var(axis=0), rtol=1e-4, atol=1e-6)
        assert not np.allclose(gamma, 1.0) and not np.allclose(beta, 0.0)


def test_images_held_out_leave_no_trace_in_the_statistics():
    features, labels = FEATURES.copy(), LABELS.copy()
    features[FOLDS[0]] *= -50
    labels[FOLDS[0]] = 0
    plain, changed = fit(masks=~FOLDS[:1]), fit(features, labels, masks=~FOLDS[:1])
    for one, other in zip(plain.weights, changed.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_watched_is_what_is_predicted():
    networks = fit(watch=FOLDS, stop_epochs=np.array([1, 2, 3]))
    probabilities = softmax(scores(networks.weights, BODY, FEATURES))
    for model, held in enumerate(FOLDS):
        expected = log_loss(probabilities[model][held], LABELS[held])
        assert networks.watch_loss[-1, model] == pytest.approx(expected, abs=1e-5)


def test_a_network_without_images_stays_finite():
    assert all(np.isfinite(array).all() for array in fit(masks=np.zeros((1, N), bool)).weights)
