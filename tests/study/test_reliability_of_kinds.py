"""Reliability of heads for several labels and for numbers, from their held-out predictions."""

import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve, r2_score

from headfit.images.targets import Targets
from headfit.study.reliability.assessment import assess
from headfit.study.reliability.labels import best_threshold
from headfit.study.reliability.model_reliability import read_reliability
from headfit.study.reliability.numbers import half_width

N, REPEATS = 300, 2
RNG = np.random.default_rng(0)
SPLITS = np.stack([RNG.permutation(N) % 5 for _ in range(REPEATS)])
PATHS = [f"{row}.jpg" for row in range(N)]
FEATURES = RNG.random((N, 20), np.float32)
TRUE = RNG.random((N, 3)) ** [1, 2, 4]
HAS = (RNG.random((N, 3)) < TRUE).astype(int)
LABELS = Targets(("sea", "sky", "sun"), HAS, "labels")
NUMBERS = Targets.of_numbers(("x", "y"), RNG.normal(size=(N, 2)) * [1, 100] + [0, 2000])


def found_in(predictions, targets):
    return assess(
        predictions=predictions, targets=targets, splits=SPLITS, paths=PATHS, features=FEATURES,
        seed=0,
    )  # fmt: skip


def sharpened(probabilities, power=3.0):
    odds = (probabilities / (1 - probabilities)) ** power
    return odds / (1 + odds)


@pytest.fixture(scope="module")
def labels():
    return found_in(np.stack([sharpened(TRUE)] * REPEATS), LABELS)


@pytest.fixture(scope="module")
def numbers():
    noise = np.random.default_rng(1).normal(size=(REPEATS, N, 2)) * [0.5, 20]
    return found_in(NUMBERS.values + noise, NUMBERS)


def test_each_label_has_its_own_temperature(labels):
    for report in labels.labels:
        assert report.temperature == pytest.approx(3.0, rel=0.35)
        assert report.log_loss_after < report.log_loss_before


def test_figures_of_a_label_are_those_of_scikit_learn(labels):
    for k, report in enumerate(labels.labels):
        assert report.images == HAS[:, k].sum()
        expected = average_precision_score(HAS[:, k], TRUE[:, k])
        assert report.average_precision == pytest.approx(expected)
        best = 2 / (1 / report.precision + 1 / report.recall)
        assert report.f1 == pytest.approx(best)


@pytest.mark.parametrize("k", range(3))
def test_the_threshold_is_that_of_the_best_f1(k):
    threshold = best_threshold(TRUE[:, k], HAS[:, k])
    precision, recall, _ = precision_recall_curve(HAS[:, k], TRUE[:, k])
    best = np.nanmax(2 * precision * recall / np.maximum(precision + recall, 1e-9))
    assert f1_score(HAS[:, k], TRUE[:, k] >= threshold) == pytest.approx(best)


def test_a_threshold_of_a_handful_of_images_is_one_half():
    assert best_threshold(TRUE[:, 0], np.arange(N) < 5) == 0.5


def test_thresholds_that_are_scored_saw_none_of_the_images(labels):
    # thresholds of random predictions gain nothing out of fold, however they are chosen
    noise = found_in(np.random.default_rng(2).random((REPEATS, N, 3)), LABELS)
    everything = f1_score(HAS, np.ones_like(HAS), average="macro")
    assert noise.macro_f1 < everything + 0.02 < labels.macro_f1


def test_labels_that_occur_together_are_counted(labels):
    np.testing.assert_array_equal(labels.cooccurrence, HAS.T @ HAS)


def test_a_wrong_label_is_suspect_and_says_which_answer_it_looks_like():
    wrong = HAS.copy()
    wrong[7, 1] = 1 - wrong[7, 1]
    sure = np.where(HAS > 0, 0.97, 0.03)[None].repeat(REPEATS, axis=0)
    found = found_in(sure, Targets(LABELS.names, wrong, "labels"))
    names = {1: "sky", 0: "not sky"}
    (suspect,) = found.suspects
    assert (suspect.path, suspect.label, suspect.suggested) == (
        "7.jpg", names[wrong[7, 1]], names[HAS[7, 1]],
    )  # fmt: skip


def test_intervals_hold_nine_numbers_in_ten(numbers):
    for interval in numbers.intervals:
        assert interval.coverage_low <= 0.9 <= interval.coverage_high
    widths = [each.half_width for each in numbers.intervals]
    np.testing.assert_allclose(widths, 1.645 * np.array([0.5, 20]), rtol=0.15)


def test_figures_of_a_column_are_in_its_own_units(numbers):
    noise = np.random.default_rng(1).normal(size=(REPEATS, N, 2)) * [0.5, 20]
    for k, report in enumerate(numbers.columns):
        values = NUMBERS.values[:, k]
        expected = np.mean([r2_score(values, values + each[:, k]) for each in noise])
        assert report.r2 == pytest.approx(expected)
        assert report.rmse == pytest.approx(np.sqrt(np.square(noise[..., k]).mean(axis=1)).mean())
        assert (report.low, report.high) == (values.min(), values.max())


def test_a_number_far_from_its_prediction_is_suspect():
    values = NUMBERS.values.copy()
    values[3, 1] += 500
    noise = np.random.default_rng(1).normal(size=(REPEATS, N, 2)) * [0.5, 20]
    found = found_in(NUMBERS.values + noise, Targets.of_numbers(("x", "y"), values))
    assert found.suspects[0].path == "3.jpg"
    assert found.suspects[0].score > 10
    assert len(found.suspects) == 1


def test_too_few_images_for_an_interval_give_none():
    assert half_width(np.arange(8.0)) == np.inf


@pytest.mark.parametrize("name", ["labels", "numbers"])
def test_what_is_stored_can_be_read_again(name, request):
    found = request.getfixturevalue(name)
    json.dumps(found.to_dict(), allow_nan=False)
    data, arrays = found.for_model().to_data()
    again = read_reliability(json.loads(json.dumps(data, allow_nan=False)), arrays)
    assert type(again) is type(found.for_model())
    np.testing.assert_array_equal(
        again.detector.scores(FEATURES), found.for_model().detector.scores(FEATURES)
    )


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("labels", {"temperatures": [0, 1, 1]}),
        ("labels", {"temperatures": [1]}),
        ("labels", {"thresholds": [1.5, 0, 0]}),
        ("numbers", {"intervals": {"level": 0.9, "half_widths": [-1, 0]}}),
        ("numbers", {"intervals": {"level": 1.0, "half_widths": [1, 0]}}),
        ("numbers", {"kind": "ranks"}),
    ],
)
def test_stored_values_that_cannot_be_are_refused(name, change, request):
    data, arrays = request.getfixturevalue(name).for_model().to_data()
    with pytest.raises(ValueError, match=r"out of range|does not know"):
        read_reliability({**data, **change}, arrays)
