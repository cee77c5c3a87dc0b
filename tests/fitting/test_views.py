"""Heads on several views of each image: an image counts once, in one fold, and is scored plain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from headfit.features.store import FeatureStore
from headfit.features.views import ViewMaps, Views
from headfit.fitting.exact import logistic, penalties
from headfit.fitting.exact.coordinates import Coordinates
from headfit.fitting.exact.method import Exact
from headfit.fitting.methods import method_of
from headfit.fitting.metrics import balanced_accuracy
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import Problem
from headfit.fitting.softmax import softmax
from headfit.fitting.views import OnViews, expand, held_out_predictions, predict_views
from headfit.heads.chain import parse_head
from headfit.images.augment import Augmentation
from headfit.report.text.summary import fit_warnings
from headfit.study.protocol.crossval import cross_validate, refit
from headfit.study.protocol.ledger import Ledger
from headfit.study.protocol.splits import make_splits
from numbered import numbered

GAP, FLATTEN, GEM, DEEP = map(parse_head, ("gap", "flatten", "gem", "gap-8"))
LABELS = np.repeat([0, 1, 2], [20, 25, 15])
WEIGHTS = np.random.default_rng(1).uniform(0.5, 2.0, 60)
GRID = (1.0, 1e-2, 1e-4)
LIGHT = Augmentation.parse("light")


def random_maps(signal: float = 0.5, seed: int = 0) -> np.ndarray:
    """Maps (60, 2, 2, 8) whose mean differs by class."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(3, 1, 1, 8))
    maps = signal * centres[LABELS] + rng.normal(size=(60, 2, 2, 8)) + 1
    return np.maximum(maps, 0).astype(np.float32)


def noisy_views(count: int, noise: float = 0.5) -> np.ndarray:
    """Maps (60 · count, 2, 2, 8): the image, and it with noise, which only training may see."""
    plain = random_maps()
    rng = np.random.default_rng(2)
    others = plain[:, None] + noise * rng.normal(size=(60, count - 1, 2, 2, 8))
    views = np.concatenate([plain[:, None], np.maximum(others, 0)], axis=1)
    return views.reshape(-1, 2, 2, 8).astype(np.float32)


class Wide(PooledFeatures):
    """Solves in float64, so that only the tolerance of the solver is left of an error."""

    def coordinates(self, pooling, shape) -> Coordinates:
        found = super().coordinates(pooling, shape)
        return replace(found, z=found.z.astype(np.float64))


@pytest.fixture
def pooled(tmp_path):
    def make(maps: np.ndarray, kind: type[PooledFeatures] = PooledFeatures) -> PooledFeatures:
        store = FeatureStore(tmp_path / str(len(list(tmp_path.iterdir()))))
        images = [str(row) for row in range(len(maps))]
        store.append(images, maps)
        return kind(store.maps(images), (GAP.pooling, FLATTEN.pooling, GEM.pooling))

    return make


def problem_of(targets=None, repeats: int = 2) -> Problem:
    splits = make_splits(LABELS, folds=4, repeats=repeats, seed=0)
    return Problem(targets or numbered(LABELS), splits, GRID, quick=True)


def on_views(head, features: PooledFeatures, *, average: bool = False) -> OnViews:
    views = Views(LIGHT, len(features.maps) // 60)
    return OnViews(method_of(head, features), views, average)


@pytest.mark.parametrize("head", [GAP, FLATTEN, GEM], ids=lambda head: head.name)
@pytest.mark.parametrize("weighted", [False, True], ids=["alike", "weighted and balanced"])
@pytest.mark.parametrize("average", [False, True], ids=["plain", "average"])
def test_identical_views_give_the_fit_of_one(pooled, monkeypatch, head, weighted, average):
    monkeypatch.setattr(logistic.minimise, "__defaults__", (1e-7, 3000))
    monkeypatch.setattr(logistic.Path.go, "__defaults__", (1e-7,))
    targets = numbered(LABELS)
    problem = problem_of(replace(targets, weights=WEIGHTS).balanced() if weighted else targets)
    maps = random_maps()
    one = method_of(head, pooled(maps, Wide))
    four = on_views(head, pooled(np.repeat(maps, 4, axis=0), Wide), average=average)
    plain, views = one.cross_validate(problem), four.cross_validate(problem)
    assert (views.choices, views.final, views.notes) == (plain.choices, plain.final, plain.notes)
    np.testing.assert_allclose(views.probabilities, plain.probabilities, atol=1e-6)
    np.testing.assert_allclose(views.train_scores, plain.train_scores, atol=1e-12)
    fitted = one.refit(problem, plain.final)
    for a, b in zip(four.refit(problem, plain.final).weights, fitted.weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)  # weights are float32


def test_views_of_an_image_share_its_fold_its_class_and_its_weight():
    problem = problem_of(replace(numbered(LABELS), weights=WEIGHTS).balanced())
    rows = expand(problem, 3)
    for column in range(3):
        np.testing.assert_array_equal(
            rows.splits.assignment[:, column::3], problem.splits.assignment
        )
        np.testing.assert_array_equal(rows.targets.values[column::3], LABELS)
    each = rows.targets.loss_weights.reshape(60, 3)
    np.testing.assert_allclose(each, problem.targets.loss_weights[:, None].repeat(3, axis=1))
    np.testing.assert_allclose(rows.targets.weights.reshape(60, 3).sum(axis=1), WEIGHTS)
    assert expand(problem_of(), 3).targets.weights is None
    assert rows.plain.sum() == 60 and rows.plain[::3].all()


def test_a_held_out_image_has_no_say_in_the_models_that_predict_it(pooled):
    problem, views = problem_of(repeats=1), noisy_views(3)
    plain = on_views(GAP, pooled(views)).cross_validate(problem)
    held = problem.splits.held_out(0, 1)
    permuted = np.where(held, (LABELS + 1) % 3, LABELS)
    other = replace(problem, targets=numbered(permuted))
    changed = on_views(GAP, pooled(views)).cross_validate(other)
    assert changed.choices[1] == plain.choices[1]
    np.testing.assert_allclose(
        changed.probabilities[0, held], plain.probabilities[0, held], atol=1e-5
    )


@pytest.mark.parametrize("average", [False, True], ids=["plain", "average"])
def test_scores_are_of_plain_images_or_of_the_mean_over_views(pooled, average):
    problem, features = problem_of(), pooled(noisy_views(3))
    fit = on_views(GAP, features, average=average).cross_validate(problem)
    rows = Exact(GAP, features).cross_validate(expand(problem, 3))
    every = rows.probabilities.reshape(2, 60, 3, 3)
    wanted = every.mean(axis=2) if average else every[:, :, 0]
    np.testing.assert_array_equal(fit.probabilities, wanted)
    assert fit.choices == rows.choices
    # training scores, by models that are fitted again
    kernels, biases = Exact(GAP, features).fold_models(expand(problem, 3), rows.choices)
    x = features.features(GAP.pooling, None)
    for fold, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        seen = ~problem.splits.held_out(0, fold)
        probabilities = softmax((x @ kernel + bias).astype(float)).reshape(60, 3, 3)
        probabilities = probabilities.mean(axis=1) if average else probabilities[:, 0]
        score = balanced_accuracy(probabilities[seen], LABELS[seen])
        assert fit.train_scores[fold] == pytest.approx(score, abs=0.03)


def test_the_nested_losses_are_those_of_plain_images_by_models_of_all_views(pooled, monkeypatch):
    monkeypatch.setattr(logistic.Path.go, "__defaults__", (logistic.TOLERANCE,))
    rows = expand(problem_of(repeats=1), 2)
    z = pooled(noisy_views(2), Wide).coordinates(GAP.pooling, None)
    losses = penalties.choose(z, rows, rows.splits.units).losses
    assignment, labels = rows.splits.assignment[0], rows.targets.values
    for number, penalty in enumerate(GRID):
        predicted = np.full((120, 3), np.nan)
        for inner in range(1, 4):  # of outer fold 0
            seen = ~np.isin(assignment, (0, inner))
            model = LogisticRegression(C=1 / (penalty * seen.sum()), tol=1e-8, max_iter=5000)
            held = assignment == inner
            predicted[held] = model.fit(z.z[seen], labels[seen]).predict_proba(z.z[held])
        judged = rows.plain & (assignment != 0)
        wanted = log_loss(labels[judged], predicted[judged])
        assert losses[0, number] == pytest.approx(wanted, rel=1e-2)


def test_a_score_is_of_plain_images_or_of_means_over_views():
    rows, everything = expand(problem_of(), 2), np.ones(120, bool)
    right = np.eye(3)[rows.targets.values]
    plain_right = np.where(rows.plain[:, None], right, 9 * np.roll(right, 1, axis=1))
    assert rows.score(plain_right, everything) == 1.0
    assert replace(rows, average=True).score(plain_right, everything) == 0.0


def test_more_training_views_help_where_images_are_few(pooled):
    """Noise of the kind that tells images of a class apart is unlearnt by views that vary it."""
    problem, scores = problem_of(), []
    for count in (1, 8):
        features = pooled(noisy_views(count, 1.0))
        fit = on_views(FLATTEN, features).cross_validate(problem)
        scores.append(problem.kind.loss(fit.probabilities[0], LABELS))
    assert scores[1] < scores[0]


def test_gradient_descent_trains_on_views_too(pooled):
    problem, features = problem_of(repeats=1), pooled(noisy_views(2))
    fit = on_views(DEEP, features, average=True).cross_validate(problem)
    assert fit.probabilities.shape == (1, 60, 3)
    np.testing.assert_allclose(fit.probabilities.sum(axis=2), 1, atol=1e-5)
    assert balanced_accuracy(fit.probabilities[0], LABELS) > 0.5
    fitted = on_views(DEEP, features).refit(problem, fit.final)
    assert fitted.probabilities_of(features.maps).shape == (120, 3)


def test_fits_on_views_are_stored_apart(pooled, tmp_path):
    problem, features = problem_of(repeats=1), pooled(noisy_views(2))
    ledger = Ledger(tmp_path / "fits", "maps", problem)
    methods = [Exact(GAP, features), on_views(GAP, features), on_views(GAP, features, average=True)]
    other = Augmentation.parse("strong")
    methods.append(replace(methods[1], views=Views(other, 2)))
    assert len({repr(method.identity) for method in methods}) == 4
    fit = cross_validate(methods[1], problem, ledger=ledger)
    stored = ledger.cross_validation(methods[1])
    np.testing.assert_array_equal(stored.probabilities, fit.probabilities)
    assert [ledger.cross_validation(method) is None for method in methods] == [
        True,
        False,
        True,
        True,
    ]
    fitted = refit(methods[1], problem, fit.final, ledger)
    np.testing.assert_array_equal(
        ledger.fitted(methods[1], fit.final).weights[0], fitted.weights[0]
    )


def test_predictions_over_views_are_averaged(pooled):
    problem, features = problem_of(repeats=1), pooled(noisy_views(3))
    fitted = on_views(GAP, features).refit(problem, {"shape": None, "penalty": 1e-2})
    wanted = fitted.probabilities_of(features.maps).reshape(60, 3, 3).mean(axis=1)
    np.testing.assert_allclose(predict_views(fitted, ViewMaps(features.maps, 3)), wanted)


def test_other_views_are_predicted_by_models_that_did_not_see_the_image(pooled):
    problem, features = problem_of(), pooled(random_maps())
    method = Exact(GAP, features)
    fit = method.cross_validate(problem)
    flipped = pooled(random_maps()[:, :, ::-1]).maps  # which gap does not see
    plain, other = held_out_predictions(method, problem, fit.choices, [features.maps, flipped])
    np.testing.assert_allclose(plain, fit.probabilities[0], atol=2e-3)
    np.testing.assert_allclose(other, plain, atol=1e-5)


def test_an_approximation_counts_images_and_views():
    note = {"code": "projected", "images": 40, "spanned_by": 12, "variance_share": 0.9}
    (warning,) = fit_warnings("flatten", [{**note, "views": 3}])
    assert "for 40 images in 3 views its features are approximated by those of 12" in warning
    views = OnViews(None, Views(LIGHT, 3))
    assert views._of_images({**note, "images": 120}) == {**note, "views": 3}
