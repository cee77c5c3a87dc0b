from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from headfit.features.store import FeatureStore
from headfit.fitting.exact.coordinates import of_features
from headfit.fitting.exact.method import Exact
from headfit.fitting.metrics import balanced_accuracy
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import Problem, Splits
from headfit.heads.chain import parse_head
from headfit.progress import Progress
from headfit.report.text.learning_curve import in_words, notes, title
from headfit.study.comparison.results import fold_metrics
from headfit.study.learning_curve import curve
from headfit.study.learning_curve.curve import HeadCurve, LearningCurve, learning_curve
from headfit.study.learning_curve.powerlaw import ErrorCurve
from headfit.study.protocol.splits import make_splits
from headfit.study.protocol.subsets import Subsets, errors_of, make_subsets, stratified_order
from numbered import numbered

GAP, FLATTEN = map(parse_head, ("gap", "flatten"))
SIZES = np.array([28, 40, 56, 80, 112, 159, 225, 318, 450, 636, 900])


def sentence_of(curve: LearningCurve) -> str:
    return in_words(curve)["sentence"]


def masks_of(subsets: Subsets, seed: int) -> np.ndarray:
    """The parts of a seed, bool (j, n)."""
    masks = np.zeros((len(subsets.sizes), subsets.held.shape[1]), bool)
    for mask, size in zip(masks, subsets.sizes, strict=True):
        mask[subsets.orders[seed][:size]] = True
    return masks


def fits_of(pooled, problem, *heads):
    return [Exact(head, pooled).cross_validate(problem) for head in heads]


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
        masks = masks_of(found, seed)
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
    np.testing.assert_array_equal(masks_of(found, 3), masks_of(again, 3))
    other = make_subsets(problem_of(labels, seed=1), None)
    assert (masks_of(other, 3) != masks_of(found, 3)).any()
    smallest = {masks_of(found, seed)[0].tobytes() for seed in range(10)}
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
        for mask in masks_of(found, seed):
            torn = [g for g in set(groups[mask]) if mask[groups == g].sum() < 4]
            assert len(torn) <= 2  # the last of each class


def test_inner_folds_keep_groups_whole_and_spread_every_leading_part():
    labels = np.arange(240) % 3
    groups = np.arange(240) // 6
    found = make_subsets(problem_of(labels, groups=groups), groups)
    assert found.folds == 5
    for order, inner in zip(found.orders, found.inner, strict=True):
        assert all(len(set(inner[groups[order] == g])) == 1 for g in set(groups[order]))
    alone = make_subsets(problem_of(labels, folds=10), None)
    for order, inner in zip(alone.orders, alone.inner, strict=True):
        for size in (27, 216):
            counts = np.bincount(inner[:size], minlength=9)
            assert counts.min() >= size // 9 - 1 and counts.max() <= size // 9 + 1
            of_one_class = np.bincount(inner[:size][labels[order[:size]] == 0], minlength=9)
            assert np.ptp(of_one_class) <= 1


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
    errors, _ = errors_of(of_features(z), problem, make_subsets(problem, None))
    assert np.isfinite(errors).all()
    assert errors.max() < 0.7


def test_few_images_give_one_size_and_a_refusal(tmp_path):
    pooled, labels = digits(tmp_path, 30)
    labels = labels % 2
    problem = problem_of(labels, folds=3)
    found = learning_curve(fits_of(pooled, problem, FLATTEN), pooled, problem)
    assert found.training_images == 20
    assert sentence_of(found) == (
        "No forecast for flatten: only 0 sizes up to half of 20 training images could be measured; "
        "4 are needed."
    )
    assert title(in_words(found)).startswith("No forecast; flatten: ")
    json.dumps(in_words(found), allow_nan=False)


@pytest.mark.parametrize("part", [0, -1])
def test_each_part_is_fitted_as_cross_validation_would(part):
    """The penalty is that of least log-loss over the part's own inner folds."""
    rng = np.random.default_rng(1)
    labels = np.arange(300) % 3
    z = rng.normal(size=(300, 40)) + 0.5 * np.eye(3, 40)[labels]
    coordinates = of_features(z.astype(np.float32))
    problem = problem_of(labels)
    found = make_subsets(problem, None)
    errors, _ = errors_of(coordinates, problem, found)
    z = coordinates.z.astype(np.float64)
    for seed in range(3):
        images, inner = found.orders[seed][: found.sizes[part]], found.inner[seed]
        inner, test = inner[: len(images)], found.held[seed]
        losses = []
        for penalty in problem.penalties:
            each = np.empty(len(images))
            for fold in range(4):
                fitted = logistic(penalty, z[images[inner != fold]], labels[images[inner != fold]])
                told = fitted.predict_log_proba(z[images[inner == fold]])
                each[inner == fold] = -told[np.arange(len(told)), labels[images[inner == fold]]]
            losses.append(each.mean())
        model = logistic(problem.penalties[int(np.argmin(losses))], z[images], labels[images])
        wanted = 1 - balanced_accuracy(model.predict_proba(z[test]), labels[test])
        assert errors[seed, part] == pytest.approx(wanted, abs=0.034)  # two images on the border


def logistic(penalty, z, labels):
    return LogisticRegression(C=1 / (penalty * len(z)), tol=1e-6, max_iter=5000).fit(z, labels)


def test_what_is_held_out_plays_no_part_in_the_choice(tmp_path):
    rng = np.random.default_rng(3)
    labels = np.arange(120) % 2
    z = of_features(rng.normal(size=(120, 9)).astype(np.float32))
    problem = problem_of(labels)
    parts = make_subsets(problem, None)
    turned = np.where(parts.held[0], 1 - labels, labels)
    other = replace(problem, targets=numbered(turned))
    (one, _), (two, _) = errors_of(z, problem, parts), errors_of(z, other, parts)
    # the same models, tested on labels that are all turned
    np.testing.assert_allclose(one[0] + two[0], 1, atol=1e-9)


def test_on_real_images_the_curve_falls_and_ends_at_the_score_of_the_study(tmp_path):
    pooled, labels = digits(tmp_path, 400)
    problem = problem_of(labels, folds=10)
    told = []
    fits = fits_of(pooled, problem, GAP, FLATTEN)
    found = learning_curve(fits, pooled, problem, progress=Progress(told.append))
    assert told == sorted(told) and told[-1] == 1.0
    assert found.training_images == 360 and found.limits == []
    for head, fit in zip(found.heads, fits, strict=True):
        means = head.measured.errors.mean(axis=0)
        assert means[0] > means[2] > means[-1]
        folds = fold_metrics(fit, problem)["balanced_accuracy"]
        np.testing.assert_allclose(head.measured.errors[:, -1], 1 - folds, atol=1e-12)
        assert head.refusal is None
    # what is forecast holds on more images of the same kind
    larger, labels = digits(tmp_path / "more", 800)
    score = (
        1
        - fold_metrics(fits_of(larger, problem_of(labels, 10), FLATTEN)[0], problem_of(labels, 10))[
            "balanced_accuracy"
        ]
    )
    _, low, high = found.heads[1].forecast.error(720)
    assert low - 0.01 <= score.mean() <= high + 0.01


def test_the_same_call_gives_the_same_curve(tmp_path):
    pooled, labels = digits(tmp_path, 150)
    problem = problem_of(labels, 3)
    fits = fits_of(pooled, problem, FLATTEN)
    one, other = (learning_curve(fits, pooled, problem).to_dict() for _ in range(2))
    assert one == other


def test_much_work_is_bounded_and_said(tmp_path, monkeypatch):
    pooled, labels = digits(tmp_path, 300)
    problem = problem_of(labels)
    fits = fits_of(pooled, problem, FLATTEN)
    monkeypatch.setattr(curve, "MOST_WORK", 1e6)
    monkeypatch.setattr(curve, "PATH_LEAST", 10)
    found = learning_curve(fits, pooled, problem)
    (limit,) = found.limits
    assert limit.coordinates == 10
    assert ["10 coordinates, which hold" in notes(limit)[0], len(notes(limit))] == [True, 1]


def test_sizes_are_halves_where_that_leaves_enough_of_them():
    sizes = [
        make_subsets(problem_of(np.arange(n) % 2, folds=10), None).sizes.tolist()
        for n in (200, 400)
    ]
    assert sizes[0] == [22, 32, 45, 64, 90, 127, 180]
    assert sizes[1] == [22, 45, 90, 180, 360]


def planted(a: float, b: float, c: float, seed: int, noise: float = 0.004) -> ErrorCurve:
    rng = np.random.default_rng(seed)
    true = a * SIZES**-b + c
    errors = true * (1 + 5 * noise * rng.normal(size=(10, len(SIZES))))
    return ErrorCurve(SIZES, errors + noise * np.abs(rng.normal(size=(10, 1))), 10)


def curves(*laws: tuple[str, ErrorCurve], images: int = 1000) -> LearningCurve:
    return LearningCurve(images, [HeadCurve.of(name, None, m) for name, m in laws], [])


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
    # the title says the same
    low, high = 100 * gain["low"], 100 * gain["high"]
    assert title(in_words(found)).startswith("About 1,000 more images: gap +1.")
    assert f"; flatten +{100 * gain['mean']:.1f} points ({low:.1f} to {high:.1f})" in title(
        in_words(found)
    )


def test_a_crossing_beyond_the_images_is_a_forecast():
    # equal at n = 12.5^(1/0.33) = 2,106
    gap, flatten = planted(0.4, 0.2, 0.0, 2, 0.001), planted(5.0, 0.53, 0.0, 3, 0.001)
    found = curves(("gap", gap), ("flatten", flatten))
    assert "flatten would overtake gap at about 2," in sentence_of(found)


def test_where_curves_are_alike_nothing_is_said_of_crossings():
    said = 0
    for seed in range(40):
        one, other = planted(2.0, 0.6, 0.02, seed), planted(2.0, 0.6, 0.02, seed + 50)
        said += len(in_words(curves(("gap", one), ("flatten", other)))["crossings"])
    assert said <= 5  # 5 % of 40, and two standard errors


def test_a_crossing_within_the_noise_is_not_claimed():
    unsure = 0
    for seed in range(12):
        one, other = planted(2.0, 0.6, 0.02, seed), planted(2.4, 0.62, 0.02, seed + 50)
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
    told = title(in_words(curves(("gap", planted(20, 1.3, 0.1, 4)))))
    assert told.startswith("About 1,000 more images: gap hardly better, +0.")


def test_a_gain_that_may_be_nothing_is_not_promised():
    head = HeadCurve.of("gap", None, planted(3.0, 0.7, 0.05, 5))
    drawn = head.forecast.drawn
    drawn.a[: len(drawn.a) // 2] = 0.0
    sentence = sentence_of(LearningCurve(1000, [head], []))
    assert sentence.startswith("About 1,000 more images may not help gap at all: about +")
    assert "(0.0 to " in sentence
    told = title(in_words(LearningCurve(1000, [head], [])))
    assert told.startswith("About 1,000 more images: gap perhaps no better, +")


def test_a_refusal_gives_its_reason_and_no_number_of_the_law():
    rng = np.random.default_rng(6)
    noise = ErrorCurve(SIZES, 0.5 + 0.02 * rng.normal(size=(10, len(SIZES))), 10)
    found = curves(("gap", noise), ("flatten", planted(2.0, 0.5, 0.0, 7)))
    assert sentence_of(found).startswith("No forecast for gap: the error does not fall")
    assert title(in_words(found)).endswith("; no forecast for gap")
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
