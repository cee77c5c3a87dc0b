from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

from typing import Any

import jax
import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from headfit.fitting.descent import training as descent
from headfit.fitting.descent.budget import Schedule
from headfit.fitting.descent.network import _drop
from headfit.fitting.descent.training import Attempts, Networks, scores, train
from headfit.fitting.metrics import log_loss
from headfit.fitting.softmax import softmax
from headfit.heads.body import ACTIVATIONS, Dense, Dropout
from headfit.progress import Progress
from numbered import numbered

N, D, K = 90, 6, 3
RNG = np.random.default_rng(7)
LABELS = np.arange(N) % K
FEATURES = (RNG.normal(size=(K, D))[LABELS] + RNG.normal(size=(N, D))).astype(np.float32)
FOLDS = np.arange(N) // K % 3 == np.arange(3)[:, None]
BODY = (Dense(8), Dropout(0.3), Dense(5, "gelu"))
SCHEDULE = Schedule(epochs=3, batch_size=32, seed=4)


def fit(
    masks=~FOLDS,
    *,
    features=FEATURES,
    labels=LABELS,
    body=BODY,
    schedule=SCHEDULE,
    rate=0.03,
    watch=None,
    stop_epochs=None,
    **more,
) -> Networks:
    rates, decays = np.full(len(masks), rate), np.full(len(masks), 0.1)
    attempts = Attempts(masks, rates, decays, watch, stop_epochs)
    return train(features, numbered(labels, K), body, attempts, schedule=schedule, **more)


def predict(*arguments: Any) -> np.ndarray:
    """Give the probabilities of networks, (M, n, K)."""
    return softmax(scores(*arguments))


def assert_same(one: list[np.ndarray], other: list[np.ndarray], atol: float = 0.0) -> None:
    for left, right in zip(one, other, strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=atol)


@pytest.mark.slow
def test_without_dense_layers_it_is_logistic_regression():
    centres = 3.0 * np.eye(D)[:K]
    labels = np.arange(300) % K
    features = (centres[labels] + RNG.normal(size=(300, D))).astype(np.float32)
    learn = np.arange(300) < 200
    schedule = Schedule(epochs=30, batch_size=32)
    networks = fit(learn[None], features=features, labels=labels, body=(), schedule=schedule)
    found = predict(networks.weights, (), features[~learn])[0].argmax(1) == labels[~learn]
    reference = LogisticRegression().fit(features[learn], labels[learn])
    assert found.mean() >= reference.score(features[~learn], labels[~learn]) - 0.02


@pytest.mark.slow
def test_a_hidden_layer_solves_xor():
    features = RNG.uniform(-1, 1, size=(400, 2)).astype(np.float32)
    labels = (features[:, 0] * features[:, 1] > 0).astype(int)
    learn = np.arange(400) < 300
    for body, lowest, highest in (((Dense(32),), 0.93, 1.0), ((), 0.3, 0.7)):
        networks = train(
            features,
            numbered(labels),
            body,
            Attempts(learn[None], [0.02], [0.0]),
            schedule=Schedule(40, 32),
        )
        found = predict(networks.weights, body, features[~learn])[0].argmax(1) == labels[~learn]
        assert lowest <= found.mean() <= highest


def test_a_network_does_not_depend_on_its_company():
    together = fit(watch=FOLDS)
    alone = fit(~FOLDS[1:2], watch=FOLDS[1:2])
    assert_same([array[1:2] for array in together.weights], alone.weights, 1e-4)
    np.testing.assert_allclose(together.watch_loss[:, 1:2], alone.watch_loss, atol=1e-4)


def test_turns_within_a_memory_budget_change_nothing():
    told: list[float] = []
    in_turns = fit(watch=FOLDS, memory=1, progress=Progress(told.append))
    together = fit(watch=FOLDS)
    assert_same(in_turns.weights, together.weights, 1e-4)
    np.testing.assert_allclose(in_turns.watch_loss, together.watch_loss, atol=1e-4)
    np.testing.assert_allclose(told, np.arange(1, 10) / 9)


@pytest.mark.parametrize(
    ("models", "size", "memory", "turns"),
    [(15, 100, 16_000, [7, 8]), (3, 10**9, 1, [1, 1, 1]), (4, 1, 10**9, [4])],
)
def test_turns_are_even_and_within_memory(models, size, memory, turns):
    lengths = [turn.stop - turn.start for turn in descent._chunks(models, size, memory)]
    assert lengths == turns


def test_stop_epochs_keep_what_a_longer_training_passed_through():
    stopped = fit(watch=FOLDS, stop_epochs=np.array([0, 1, 2]))
    full = fit(watch=FOLDS)
    assert_same([array[0] for array in stopped.weights], _initial())
    for model, stop in ((1, 1), (2, 2)):
        same = predict(stopped.weights, BODY, FEATURES)[model][FOLDS[model]]
        loss = log_loss(same, LABELS[FOLDS[model]])
        assert loss == pytest.approx(full.watch_loss[stop - 1, model], abs=1e-5)
        np.testing.assert_allclose(stopped.watch_loss[stop - 1 :, model], loss, atol=1e-5)
        assert full.watch_loss[-1, model] != pytest.approx(loss, abs=1e-4)


def _initial() -> list[np.ndarray]:
    return [array[0] for array in fit(stop_epochs=np.zeros(3, int)).weights]


@pytest.mark.parametrize("body", [(), BODY])
def test_masked_images_leave_no_trace(body):
    features, labels = FEATURES.copy(), LABELS.copy()
    features[FOLDS[0]] *= -50
    labels[FOLDS[0]] = 0
    plain, changed = (
        fit(~FOLDS[:1], body=body, features=f, labels=y)
        for f, y in ((FEATURES, LABELS), (features, labels))
    )
    assert_same(plain.weights, changed.weights)


def test_a_network_without_images_stays_finite():
    networks = fit(np.zeros((1, N), bool))
    assert all(np.isfinite(array).all() for array in networks.weights)


def test_same_seed_same_bits():
    first, again = fit(watch=FOLDS), fit(watch=FOLDS)
    assert_same(first.weights, again.weights)
    np.testing.assert_array_equal(first.watch_loss, again.watch_loss)
    other = fit(schedule=Schedule(epochs=3, batch_size=32, seed=5))
    assert not np.allclose(first.weights[0], other.weights[0])


@pytest.mark.slow
def test_dropout_matters_in_training_only():
    body = (Dropout(0.4), Dense(8))
    plain, none, some = (
        fit(body=(Dropout(rate), Dense(8))[start:])
        for rate, start in ((0.0, 1), (0.0, 0), (0.4, 0))
    )
    assert_same(plain.weights, none.weights)
    assert not np.allclose(plain.weights[0], some.weights[0], atol=1e-3)
    np.testing.assert_array_equal(
        predict(some.weights, body, FEATURES), predict(some.weights, body[1:], FEATURES)
    )


def test_dropout_may_stand_right_before_the_final_layer():
    body = (Dropout(0.4),)
    networks = fit(body=body, schedule=Schedule(epochs=20, batch_size=32))
    found = predict(networks.weights, body, FEATURES).argmax(axis=2) == LABELS
    assert found.mean() > 0.6


@pytest.mark.parametrize("width", [1, 50])
def test_dropout_is_inverted(width):
    kept = np.asarray(_drop(np.ones((2000, width), np.float32), 0.25, jax.random.key(0)))
    assert set(np.unique(kept)) == {np.float32(0), np.float32(4 / 3)}
    assert kept.mean() == pytest.approx(1.0, abs=0.05)


def test_watch_loss_is_the_log_loss_of_predict():
    watch = FOLDS.copy()
    watch[1, 10:] = False
    watch[2] = False
    networks = fit(watch=watch)
    probabilities = predict(networks.weights, BODY, FEATURES)
    for model in range(2):
        expected = log_loss(probabilities[model][watch[model]], LABELS[watch[model]])
        assert networks.watch_loss[-1, model] == pytest.approx(expected, abs=1e-5)
    assert np.isnan(networks.watch_loss[:, 2]).all()
    assert np.isnan(fit().watch_loss).all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_predict_is_what_keras_computes(activation):
    body = (Dropout(0.1), Dense(7, activation), Dropout(0.2), Dense(4, activation))
    shapes = [(1, D, 7), (1, 7), (1, 7, 4), (1, 4), (1, 4, K), (1, K)]
    weights = [RNG.normal(size=shape).astype(np.float32) for shape in shapes]
    layers = [
        keras.layers.Dense(step.units, step.activation)
        if isinstance(step, Dense)
        else keras.layers.Dropout(step.rate)
        for step in body
    ]
    model = keras.Sequential(
        [keras.Input((D,)), *layers, keras.layers.Dense(K, activation="softmax")]
    )
    model.set_weights([array[0] for array in weights])
    probabilities = predict(weights, body, FEATURES)[0]
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(probabilities, np.asarray(model(FEATURES)), atol=1e-5)


@pytest.mark.parametrize(("images", "batch"), [(600, 128), (40, 128), (7, 3), (5, 100), (1, 1)])
def test_an_epoch_visits_every_image_once(images, batch):
    schedule = Schedule(epochs=2, batch_size=batch)
    rows = [schedule.rows(images, epoch) for epoch in range(2)]
    assert rows[0].shape == schedule.shape(images)
    assert rows[0].shape[1] <= batch
    for dealt in rows:
        np.testing.assert_array_equal(np.sort(dealt[dealt >= 0]), np.arange(images))
        assert ((dealt >= 0).sum(axis=1) > 0).all()
    assert images == 1 or not np.array_equal(*rows)


def test_the_rate_rises_to_its_peak_and_falls_to_nothing():
    factors = Schedule(epochs=10, batch_size=10).factors(200).ravel()
    peak = factors.argmax()
    assert factors.shape == (200,)
    assert 0.99 < factors[peak] <= 1.0
    assert (np.diff(factors[: peak + 1]) > 0).all()
    assert (np.diff(factors[peak:]) < 0).all()
    assert 0 < factors[-1] < 0.01


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"masks": ~FOLDS[:, 1:]}, "masks must be"),
        ({"masks": ~FOLDS[:0]}, "M >= 1"),
        ({"watch": FOLDS[:1]}, "masks must be"),
        ({"stop_epochs": np.array([1, 2, 4])}, "stop_epochs must be in 0..3"),
        ({"labels": LABELS[1:]}, "features must be"),
    ],
)
def test_what_does_not_fit_is_refused(more, message):
    with pytest.raises(ValueError, match=message):
        fit(**more)


def test_a_schedule_of_nothing_is_refused():
    with pytest.raises(ValueError, match="epochs"):
        Schedule(epochs=0)
