"""Metrics of several labels and of numbers, against scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from headfit.fitting.kinds import KINDS
from headfit.fitting.label_metrics import average_precisions, precisions

some = given(st.integers(0, 10**6), st.integers(1, 5), st.booleans())


def draw(seed, columns):
    rng = np.random.default_rng(seed)
    values = (rng.random((40, columns)) < rng.random(columns)).astype(int)
    values[0], values[1] = 1, 0
    # few different scores, so that some are equal
    return np.round(rng.random((40, columns)), 1) * 0.9 + 0.05, values, rng.random(40) + 0.1


@settings(deadline=None, max_examples=50)
@some
def test_metrics_of_labels_agree_with_scikit_learn(seed, columns, weighted):
    p, values, weights = draw(seed, columns)
    given = {"sample_weight": weights} if weighted else {}
    said = (p >= 0.5).astype(int)
    mean = np.mean(
        [reference.average_precision_score(values[:, k], p[:, k], **given) for k in range(columns)]
    )
    f1 = (
        {
            name: reference.f1_score(values, said, average=name, zero_division=np.nan, **given)
            for name in ("macro", "micro")
        }
        if columns > 1
        else {}
    )
    losses = [reference.log_loss(values[:, k], p[:, k], **given) for k in range(columns)]
    briers = [reference.brier_score_loss(values[:, k], p[:, k], **given) for k in range(columns)]
    found = KINDS["labels"].evaluate(p, values, weights if weighted else None)
    assert found["macro_average_precision"] == pytest.approx(mean)
    assert found["log_loss"] == pytest.approx(np.mean(losses))
    assert found["brier"] == pytest.approx(np.mean(briers))
    for name, expected in f1.items():
        assert found[f"{name}_f1"] == pytest.approx(expected)


@settings(deadline=None, max_examples=50)
@some
def test_metrics_of_numbers_agree_with_scikit_learn(seed, columns, weighted):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(30, columns)) * 10.0 ** rng.integers(-3, 4, columns) + 1000
    predictions = values + rng.normal(size=values.shape)
    weights = rng.random(30) + 0.1 if weighted else None
    found = KINDS["number"].evaluate(predictions, values, weights)
    pair = (
        values,
        predictions,
    )
    assert found["r2"] == pytest.approx(reference.r2_score(*pair, sample_weight=weights))
    assert found["mae"] == pytest.approx(
        reference.mean_absolute_error(*pair, sample_weight=weights)
    )
    expected = reference.root_mean_squared_error(*pair, sample_weight=weights)
    assert found["rmse"] == pytest.approx(expected)


@settings(deadline=None, max_examples=20)
@some
def test_the_average_precision_is_the_mean_precision_of_what_has_the_label(seed, columns, _):
    p, values, _ = draw(seed, columns)
    each = precisions(p, values)
    means = [each[values[:, k] > 0, k].mean() for k in range(columns)]
    found = average_precisions(p, values, np.ones((1, 40)))
    assert found[0] == pytest.approx(np.mean(means))


def test_a_label_that_no_image_has_takes_no_part():
    p, values, _ = draw(0, 2)
    without = np.column_stack([values, np.zeros(40, int)])
    more = np.column_stack([p, np.full(40, 0.1)])
    kind = KINDS["labels"]
    assert kind.score(more, without) == pytest.approx(kind.score(p, values))
    assert np.isnan(kind.score(p, np.zeros_like(values)))


def test_a_column_that_does_not_vary_has_no_r2():
    values = np.column_stack([np.arange(5.0), np.full(5, 0.1)])
    predictions = values + np.array([1, 0.5])
    kind = KINDS["number"]
    assert kind.score(predictions, values) == pytest.approx(
        kind.score(predictions[:, :1], values[:, :1])
    )
    assert np.isnan(kind.score(predictions[:, 1:], values[:, 1:]))
