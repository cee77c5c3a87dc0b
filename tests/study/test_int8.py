from __future__ import annotations

import numpy as np
import pytest

from headfit.errors import DataError
from headfit.features.store import FeatureMaps
from headfit.fitting.problem import CrossValidation, Problem
from headfit.heads.chain import parse_head
from headfit.report.text.reliability import sentence
from headfit.study.comparison.int8 import (
    MOST_IMAGES,
    Int8Comparison,
    choose_head,
    choose_sample,
    map_cosines,
    measure,
)
from headfit.study.protocol.splits import make_splits
from numbered import numbered


def stored(maps):
    places = np.stack([np.zeros(len(maps), int), np.arange(len(maps))], axis=1)
    return FeatureMaps((maps,), places)


def problem_of(labels, folds=3):
    splits = make_splits(labels, folds=folds, repeats=1, seed=0)
    return Problem(numbered(labels), splits)


@pytest.fixture
def labelled():
    """Maps of three classes that a linear head can nearly tell apart."""
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    maps = rng.uniform(0, 1, (90, 2, 2, 6)).astype(np.float32)
    maps[np.arange(90), :, :, labels] += 0.35
    return maps, labels


def test_cosines_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5, 2, 3, 4)).astype(np.float32)
    expected = [
        np.vdot(x, y) / np.linalg.norm(x) / np.linalg.norm(y) for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(map_cosines(stored(a), stored(b)), expected, rtol=1e-5)


def test_empty_maps_agree_with_each_other_and_with_nothing_else():
    a, b = np.zeros((2, 1, 1, 2), np.float32), np.zeros((2, 1, 1, 2), np.float32)
    b[1] = 1
    assert map_cosines(stored(a), stored(b)).tolist() == [1, 0]


def test_maps_of_other_images_are_refused():
    with pytest.raises(DataError, match="cannot be compared"):
        map_cosines(stored(np.ones((2, 1, 1, 2))), stored(np.ones((3, 1, 1, 2))))


def test_equal_maps_change_nothing(labelled):
    maps, labels = labelled
    found = measure(
        stored(maps),
        stored(maps),
        problem_of(labels),
        parse_head("gap"),
        recommended=True,
        calibrated=0,
    )
    assert found.images == 90
    assert found.cosine_lowest == pytest.approx(1)
    assert found.int8 == found.float32 > 0.5
    assert found.difference == {"mean": 0, "low": 0, "high": 0}
    assert found.crossed == pytest.approx(found.int8, abs=0.02)  # refits are a little more exact


def test_spoilt_maps_lower_the_score(labelled):
    maps, labels = labelled
    spoilt = np.random.default_rng(1).permutation(maps)
    found = measure(
        stored(spoilt),
        stored(maps),
        problem_of(labels),
        parse_head("gap"),
        recommended=False,
        calibrated=7,
    )
    assert found.int8 < found.float32 - 0.2
    change = found.difference
    assert change["mean"] == pytest.approx(found.int8 - found.float32)
    assert change["low"] < change["mean"] < change["high"] < 0
    assert found.crossed < found.float32 - 0.2  # what was learnt on rubbish is of no use
    assert found.cosine_lowest < found.cosine_mean < 1
    data = found.to_dict(300, 2.5)
    assert (data["calibrated_on"], data["speedup"], data["calibrated"]) == (300, 2.5, 7)


def test_the_sentence_begins_with_what_changes_and_says_it_all():
    change = {"mean": -0.004, "low": -0.012, "high": 0.004}
    found = Int8Comparison(512, 0, 0.97541, 0.9, "gap", False, 0.91, 0.914, change, 0.905)
    text = sentence(found.to_dict(300, 3.1))
    for part in (
        "int8 changes the balanced accuracy of gap, the best linear head, by −0.4 points (−1.2 to ",
        *("512 of your images", "none of them used for calibration", "0.9754", "0.9000"),
        *("from 91.4 % to 91.0 %", "3.10 times", "the head trained on int8 has 90.5 %"),
    ):
        assert part in text


def test_a_small_set_is_taken_whole():
    labels = np.arange(100) % 4
    sample = choose_sample(labels, None, np.zeros(100, bool), folds=5, seed=0)
    assert sample.tolist() == list(range(100))


def test_a_large_set_is_sampled_by_class_and_fresh_images_first():
    rng = np.random.default_rng(0)
    labels = rng.choice(3, 5000, p=[0.7, 0.299, 0.001])
    fresh = np.arange(5000) % 3 > 0
    sample = choose_sample(labels, None, fresh, folds=5, seed=0)
    assert len(np.unique(sample)) == len(sample) <= MOST_IMAGES + 5
    counts = np.bincount(labels[sample]) / np.bincount(labels)
    assert counts[:2] == pytest.approx(MOST_IMAGES / 5000, rel=0.05)
    assert (labels[sample] == 2).sum() == min(5, (labels == 2).sum())
    assert fresh[sample][labels[sample] < 2].all()
    again = choose_sample(labels, None, fresh, folds=5, seed=0)
    assert np.array_equal(again, sample)
    assert not np.array_equal(choose_sample(labels, None, fresh, folds=5, seed=1), sample)


def test_of_copies_one_is_taken():
    labels = np.repeat([0, 1], 10)
    groups = np.array([0, 0, 0, *range(1, 18)])
    sample = choose_sample(labels, groups, np.ones(20, bool), folds=3, seed=0)
    assert len(sample) == 18 and len(np.unique(groups[sample])) == 18


def test_the_head_is_the_recommended_one_if_it_is_linear():
    names = ("gap", "flatten", "gap-16")
    found = [CrossValidation(parse_head(n), np.empty(0), np.empty(0), [], {}, []) for n in names]
    metrics = [{"balanced_accuracy": np.array([score])} for score in (0.8, 0.9, 0.95)]
    assert choose_head("gap", found, metrics).name == "gap"
    assert choose_head("gap-16", found, metrics).name == "flatten"
    assert choose_head("gap-16", found[2:], metrics[2:]).name == "gap"
