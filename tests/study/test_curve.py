from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from headfit.features.store import FeatureStore
from headfit.fitting.exact.method import Exact
from headfit.fitting.metrics import balanced_accuracy
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import Problem, Splits
from headfit.heads.chain import parse_head
from headfit.progress import Progress
from headfit.report.text.learning_curve import in_words, notes
from headfit.study.learning_curve import curve
from headfit.study.learning_curve.curve import HeadCurve, LearningCurve, learning_curve
from headfit.study.learning_curve.powerlaw import ErrorCurve
from headfit.study.protocol import subsets
from headfit.study.protocol.splits import make_splits
from headfit.study.protocol.subsets import errors_of, make_subsets, stratified_order
from numbered import numbered

GAP, FLATTEN = map(parse_head, ("gap", "flatten"))
SIZES = np.array([28, 40, 56, 80, 112, 159, 225, 318, 450, 636, 900])


def sentence_of(curve: LearningCurve) -> str:
    return in_words(curve)["sentence"]


def problem_of(labels, folds=5, repeats=1, seed=0, groups=None) -> Problem:
    splits = make_splits(labels, folds=folds, repeats=repeats, seed=seed, groups=groups)
    return Problem(numbered(labels), splits)


def digits(tmp_path, n: int) -> tuple[PooledFeatures, np.ndarray]:
    """Handwritten digits, as maps (n, 4, 4, 4): each position holds 2×2 pixels."""
    images, labels = load_digits(return_X_y=True)
    maps = images[:n].reshape(n, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4).reshape(n, 4, 4, 4)
    store = FeatureStore(tmp_path)
    names = [str(i) for i in range(n)]
    store.append(names, maps.astype(np.float32))
    return PooledFeatures(store.maps(names), (GAP.pooling, FLATTEN.pooling)), labels[:n]


def test_parts_are_nested_stratified_and_leave_the_held_out_fold_alone():
    labels = np.repeat([0, 1, 2], [200, 90, 10])
    found = make_subsets(problem_of(labels), None)
    assert len(found.held) == 10
    np.testing.assert_array_equal(found.held.sum(axis=0), 2)  # two whole repeats
    assert found.sizes[0] >= 20 and found.sizes[-1] == 240
    np.testing.assert_allclose(found.sizes[1:] / found.sizes[:-1], np.sqrt(2), rtol=0.03)
    for seed, held in enumerate(found.held):
        masks = found.masks(seed)
        np.testing.assert_array_equal(masks.sum(axis=1), found.sizes)
        assert not (masks & held).any()
        assert (masks[:-1] <= masks[1:]).all()
        for mask in masks:
            counts = np.bincount(labels[mask], minlength=3)
            assert counts.min() >= 2
            np.testing.assert_allclose(counts, mask.sum() * np.array([2, 0.9, 0.1]) / 3, atol=3)


def test_seeds_draw_parts_of_their_own_and_equal_seeds_the_same():
    labels = np.arange(120) % 3
    found, again = (make_subsets(problem_of(labels), None) for _ in range(2))
    np.testing.assert_array_equal(found.masks(3), again.masks(3))
    other = make_subsets(problem_of(labels, seed=1), None)
    assert (other.masks(3) != found.masks(3)).any()
    smallest = {found.masks(seed)[0].tobytes() for seed in range(10)}
    assert len(smallest) == 10


@pytest.mark.parametrize(("folds", "seeds"), [(2, 10), (3, 12), (5, 10), (10, 10), (30, 20)])
def test_ten_seeds_or_more_hold_out_folds_of_the_study(folds, seeds):
    labels = np.arange(120) % 3
    found = make_subsets(problem_of(labels, folds=folds), None)
    assert len(found.held) == seeds
    repeats = make_splits(labels, folds=folds, repeats=-(-seeds // folds), seed=0)
    for number, held in enumerate(found.held):
        repeat, fold = divmod(number, folds)
        np.testing.assert_array_equal(np.flatnonzero(held), repeats.indices(repeat, fold)[1])


def test_groups_are_held_out_whole_and_join_the_parts_together():
    labels = np.repeat([0, 1], 60)
    groups = np.arange(120) // 4
    found = make_subsets(problem_of(labels, groups=groups), groups)
    for seed, held in enumerate(found.held):
        assert not set(groups[held]) & set(groups[~held])
        for mask in found.masks(seed):
            torn = [g for g in set(groups[mask]) if mask[groups == g].sum() < 4]
            assert len(torn) <= 2  # the last of each class


def test_a_class_of_one_image_comes_first_and_stops_nothing(tmp_path):
    labels = np.repeat([0, 1, 2], [60, 59, 1])
    order = stratified_order(labels, np.arange(120), None, np.random.default_rng(0))
    assert sorted(labels[order[:5]]) == [0, 0, 1, 1, 2]
    assert sorted(order) == list(range(120))
    z = np.random.default_rng(0).normal(size=(120, 5)).astype(np.float32)
    z[:, 0] += 3 * labels
    assignment = (np.arange(120) % 5).astype(np.int16)  # without the last fold there is no class 2
    splits = Splits(5, 2, 0, np.stack([assignment, assignment[::-1]]))
    problem = Problem(numbered(labels, 3), splits)
    errors, stopped = errors_of(z, problem, make_subsets(problem, None), 1e-2)
    assert np.isfinite(errors).all() and stopped == 0
    assert errors.max() < 0.7


def test_few_images_give_one_size_and_a_refusal(tmp_path):
    pooled, labels = digits(tmp_path, 30)
    labels = labels % 2
    found = learning_curve([(FLATTEN, 1e-2, None)], pooled, problem_of(labels, folds=3))
    assert found.training_images == 20
    assert sentence_of(found) == (
        "No forecast for flatten: only 0 sizes up to half of 20 training images could be measured; "
        "4 are needed."
    )
    json.dumps(in_words(found), allow_nan=False)


@pytest.mark.parametrize("part", [0, -1])  # fitted among the small parts and among the large ones
def test_each_error_is_that_of_scikit_learn_on_the_same_part(part):
    rng = np.random.default_rng(1)
    labels = np.arange(300) % 3
    z = rng.normal(size=(300, 6)) + 0.8 * rng.normal(size=(3, 6))[labels]
    z = (z - z.mean(axis=0)).astype(np.float32)
    problem = problem_of(labels)
    found = make_subsets(problem, None)
    errors, _ = errors_of(z, problem, found, 1e-3)
    for seed in range(10):
        mask, held = found.masks(seed)[part], found.held[seed]
        # λ_n n is the same for all sizes
        model = LogisticRegression(C=1 / (1e-3 * found.sizes[-1]), tol=1e-8, max_iter=5000)
        model.fit(z[mask], labels[mask])
        wanted = 1 - balanced_accuracy(model.predict_proba(z[held]), labels[held])
        assert errors[seed, part] == pytest.approx(wanted, abs=0.02)  # one image on the border


def test_on_real_images_the_curve_falls_and_ends_at_the_score_of_the_study(tmp_path):
    pooled, labels = digits(tmp_path, 500)
    problem = problem_of(labels, folds=10)
    told = []
    heads = [(GAP, 1e-4, None), (FLATTEN, 1e-3, None)]
    found = learning_curve(heads, pooled, problem, progress=Progress(told.append))
    assert told == sorted(told) and told[-1] == 1.0
    assert found.training_images == 450 and found.limits == []
    gap, flatten = found.heads
    for head in (gap, flatten):
        means = head.measured.errors.mean(axis=0)
        assert means[0] > means[4] > means[-1]
    assert flatten.measured.errors[:, -1].mean() < gap.measured.errors[:, -1].mean()
    outcome = Exact(FLATTEN, pooled).cross_validate(problem)
    score = balanced_accuracy(outcome.probabilities[0], labels)
    assert 1 - flatten.measured.errors[:, -1].mean() == pytest.approx(score, abs=0.02)
    assert flatten.refusal is None
    # what is forecast holds on more images of the same kind
    larger, labels = digits(tmp_path / "more", 1000)
    more = learning_curve([(FLATTEN, 1e-3, None)], larger, problem_of(labels, folds=10))
    wanted = more.heads[0].measured.errors[:, -1].mean()
    _, low, high = flatten.forecast.error(900)
    assert low - 0.01 <= wanted <= high + 0.01


def test_the_same_call_gives_the_same_curve(tmp_path):
    pooled, labels = digits(tmp_path, 150)
    heads = [(FLATTEN, 1e-2, None)]
    one, other = (learning_curve(heads, pooled, problem_of(labels, 3)).to_dict() for _ in range(2))
    assert one == other


def test_much_work_is_bounded_and_said(tmp_path, monkeypatch):
    pooled, labels = digits(tmp_path, 300)
    problem = problem_of(labels)
    monkeypatch.setattr(curve, "MOST_WORK", 1e6)
    monkeypatch.setattr(curve, "PATH_LEAST", 10)
    found = learning_curve([(FLATTEN, 1e-2, None)], pooled, problem)
    assert found.heads[0].measured.sizes.tolist() == [30, 60, 120, 240]
    (limit,) = found.limits
    assert (limit.coordinates, limit.halved) == (10, True)
    assert ["10 coordinates, which hold" in notes(limit)[0], len(notes(limit))] == [True, 2]
    assert notes(limit)[1] == "flatten: to save time, each size is half of the next."


def test_problems_that_do_not_fit_in_memory_together_come_out_the_same(monkeypatch):
    labels = np.arange(120) % 3
    z = np.random.default_rng(2).normal(size=(120, 5)).astype(np.float32)
    z[:, 0] += labels
    problem = problem_of(labels)
    parts = make_subsets(problem, None)
    together, _ = errors_of(z, problem, parts, 1e-2)
    monkeypatch.setattr(subsets, "PATH_BYTES", 1)
    alone, _ = errors_of(z, problem, parts, 1e-2)
    np.testing.assert_allclose(alone, together, atol=0.05)


def planted(a: float, b: float, c: float, seed: int, noise: float = 0.004) -> ErrorCurve:
    rng = np.random.default_rng(seed)
    true = a * SIZES**-b + c
    errors = true * (1 + 5 * noise * rng.normal(size=(10, len(SIZES))))
    return ErrorCurve(SIZES, errors + noise * np.abs(rng.normal(size=(10, 1))), 10)


def curves(*laws: tuple[str, ErrorCurve], images: int = 1000) -> LearningCurve:
    return LearningCurve(images, [HeadCurve.of(name, 1e-3, None, m) for name, m in laws], [])


def test_the_sentence_tells_the_gain_and_a_planted_crossing():
    # equal at n = 5^(1/0.3) = 214
    gap, flatten = planted(0.4, 0.2, 0.0, 0), planted(2.0, 0.5, 0.0, 1)
    found = curves(("gap", gap), ("flatten", flatten))
    (where,) = in_words(found)["crossings"]
    assert (where["overtaking"], where["overtaken"], where["sure"]) == ("flatten", "gap", True)
    assert 170 < where["low"] < 214 < where["high"] < 260
    sentence = sentence_of(found)
    assert sentence.startswith("About 1,000 more images would bring gap about +1.")
    assert "About 1,000 more images would bring flatten about +1." in sentence
    assert "flatten overtakes gap at about 2" in sentence
    gain = in_words(found)["heads"][1]["gain"]
    assert gain["mean"] == pytest.approx(2 * (1000**-0.5 - 2000**-0.5), rel=0.1)
    assert gain["low"] < gain["mean"] < gain["high"]
    assert sentence_of(found) == sentence_of(curves(("gap", gap), ("flatten", flatten)))


def test_a_crossing_beyond_the_images_is_a_forecast():
    # equal at n = 12.5^(1/0.33) = 2,106
    gap, flatten = planted(0.4, 0.2, 0.0, 2, 0.001), planted(5.0, 0.53, 0.0, 3, 0.001)
    found = curves(("gap", gap), ("flatten", flatten))
    assert "flatten would overtake gap at about 2," in sentence_of(found)


def test_a_crossing_within_the_noise_is_not_claimed():
    unsure = 0
    for seed in range(12):
        one, other = planted(2.0, 0.6, 0.02, seed), planted(2.05, 0.605, 0.02, seed + 50)
        found = curves(("gap", one), ("flatten", other))
        sentence = sentence_of(found)
        crossings = in_words(found)["crossings"]
        if crossings and not crossings[0]["sure"]:
            unsure += 1
            assert "It is unclear whether " in sentence
            assert "overtakes gap at about" not in sentence
            assert "overtakes flatten at about" not in sentence
    assert unsure > 0


def test_where_more_images_would_hardly_help_it_says_so():
    sentence = sentence_of(curves(("gap", planted(20, 1.3, 0.1, 4))))
    assert sentence.startswith("About 1,000 more images would hardly help gap: about +0.")


def test_a_gain_that_may_be_nothing_is_not_promised():
    head = HeadCurve.of("gap", 1e-3, None, planted(3.0, 0.7, 0.05, 5))
    drawn = head.forecast.drawn
    drawn.a[: len(drawn.a) // 2] = 0.0
    sentence = sentence_of(LearningCurve(1000, [head], []))
    assert sentence.startswith("About 1,000 more images may not help gap at all: about +")
    assert "(0.0 to " in sentence


def test_a_refusal_gives_its_reason_and_no_number_of_the_law():
    rng = np.random.default_rng(6)
    noise = ErrorCurve(SIZES, 0.5 + 0.02 * rng.normal(size=(10, len(SIZES))), 10)
    found = curves(("gap", noise), ("flatten", planted(2.0, 0.5, 0.0, 7)))
    assert sentence_of(found).startswith("No forecast for gap: the error does not fall")
    gap, flatten = in_words(found)["heads"]
    assert gap["law"] is gap["forecast"] is gap["gain"] is None
    assert flatten["law"] and flatten["refusal"] is None
    assert found.crossings() == []
    assert len(gap["points"]) == len(SIZES) and len(gap["points"][0]["values"]) == 10


@pytest.mark.parametrize(("images", "more"), [(1000, 1000), (1062, 1000), (2000, 1600), (3601, 0)])
def test_nothing_is_said_beyond_four_times_the_largest_part(images, more):
    found = curves(("gap", planted(2.0, 0.5, 0.0, 8)), images=images)
    assert found.more() == more
    assert (f"About {more:,} more images" in sentence_of(found)) == (more > 0)
    plain = in_words(found)
    json.dumps(plain, allow_nan=False)
    assert all(point["images"] <= 3600 for point in plain["heads"][0]["forecast"])
    assert (plain["heads"][0]["gain"] is None) == (more == 0)
