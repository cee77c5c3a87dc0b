"""Linear heads for several labels and for numbers, against scikit-learn in every fold."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier

from headfit.fitting.exact.choices import Choices
from headfit.fitting.exact.method import Exact
from headfit.fitting.exact.nested import choose
from headfit.heads.chain import parse_head
from headfit.images.targets import Targets
from simulations import pooled_of
from targets_drawn import N, labels_of, maps_of, numbers_of, problem_of

HEADS = [parse_head("gap"), parse_head("flatten")]


def search(head, problem, maps):
    pooled = pooled_of(maps, [head])
    coordinates = pooled.coordinates(head.pooling, None)
    return coordinates.z, choose(coordinates, problem, problem.splits.units)


@pytest.mark.parametrize("head", HEADS, ids=str)
def test_labels_agree_with_one_logistic_regression_each(head):
    maps = maps_of()
    targets = labels_of(maps)
    problem = problem_of(targets)
    z, found = search(head, problem, maps)
    z = z.astype(float)
    for unit, (repeat, fold) in enumerate(problem.splits.units):
        train, _ = problem.splits.indices(repeat, fold)
        penalty = problem.penalties[found.chosen[unit]]
        alone = LogisticRegression(C=1 / (penalty * len(train)), tol=1e-8, max_iter=10_000)
        model = OneVsRestClassifier(alone).fit(z[train], targets.values[train])
        expected = model.predict_proba(z)
        np.testing.assert_allclose(problem.kind.link(found.scores[unit].T), expected, atol=1e-4)


def weighed(problem, rows):
    weights = problem.targets.loss_weights
    return np.ones(len(rows)) if weights is None else weights[rows]


@pytest.mark.parametrize("weights", [None, np.linspace(0.2, 3, N)], ids=["alike", "weighted"])
@pytest.mark.parametrize("head", HEADS, ids=str)
@pytest.mark.parametrize("sums", [True, False], ids=["sums", "inverse"])
def test_numbers_agree_with_ridge_at_every_penalty(head, sums, weights, monkeypatch):
    monkeypatch.setattr(
        "headfit.fitting.exact.regression._Some._sums_are_cheaper", lambda self: sums
    )
    maps = maps_of()
    problem = problem_of(numbers_of(maps, weights))
    z, found = search(head, problem, maps)
    z = z.astype(float)
    centred = z - weighed(problem, np.arange(N)) @ z / N
    trace = (weighed(problem, np.arange(N)) * np.square(centred).sum(axis=1)).sum()
    values = problem.targets.values
    for unit, (repeat, fold) in enumerate(problem.splits.units):
        train, _ = problem.splits.indices(repeat, fold)
        alpha = problem.penalties[found.chosen[unit]] * trace
        model = Ridge(alpha=alpha, solver="cholesky")
        model.fit(z[train].astype(float), values[train], weighed(problem, train))
        np.testing.assert_allclose(found.scores[unit].T, model.predict(z), rtol=1e-6)


@pytest.mark.parametrize("sums", [True, False], ids=["sums", "inverse"])
def test_the_penalty_of_numbers_is_chosen_on_inner_folds(sums, monkeypatch):
    monkeypatch.setattr(
        "headfit.fitting.exact.regression._Some._sums_are_cheaper", lambda self: sums
    )
    maps = maps_of()
    problem = problem_of(numbers_of(maps), folds=3, repeats=1)
    z, found = search(HEADS[1], problem, maps)
    z = z.astype(float)
    folds, values = problem.splits.assignment[0], problem.targets.values
    measured = []
    for level, penalty in enumerate(problem.penalties):
        errors = []
        for inner in (1, 2):  # of outer fold 0
            train = (folds != 0) & (folds != inner)
            model = Ridge(alpha=penalty * np.square(z).sum()).fit(z[train], values[train])
            errors.append(np.square(model.predict(z) - values)[folds == inner])
        expected = (np.concatenate(errors).mean(axis=0) / values[folds != 0].var(axis=0)).mean()
        if np.isfinite(found.losses[0, level]):  # it stops where the loss clearly rises
            assert found.losses[0, level] == pytest.approx(expected, rel=1e-6)
            measured.append(expected)
    assert len(measured) > 3
    assert found.chosen[0] == np.argmin(measured)


@pytest.mark.parametrize("make", [labels_of, numbers_of])
@pytest.mark.parametrize("head", HEADS, ids=str)
def test_a_head_on_all_images_is_that_of_scikit_learn(head, make):
    maps = maps_of()
    problem = problem_of(make(maps))
    pooled = pooled_of(maps, [head])
    method = Exact(head, pooled)
    fitted = method.refit(problem, {"shape": None, "penalty": 1e-2})
    z = pooled.coordinates(head.pooling, None).z.astype(float)
    if problem.targets.kind == "labels":
        alone = LogisticRegression(C=1 / (1e-2 * N), tol=1e-8, max_iter=10_000)
        expected = OneVsRestClassifier(alone).fit(z, problem.targets.values).predict_proba(z)
    else:
        expected = Ridge(alpha=1e-2 * N).fit(z, problem.targets.values).predict(z)
    np.testing.assert_allclose(fitted.probabilities(maps), expected, rtol=1e-4, atol=1e-4)
    kernels, biases = method.fold_models(problem, [{"penalty": 1e-2}] * 4)
    _, found = search(head, problem_of(problem.targets, penalties=(1e-2,)), maps)
    scores = found.scores[0].T
    features = head.pooling.pool(maps, None)
    np.testing.assert_allclose(features @ kernels[0] + biases[0], scores, rtol=2e-3, atol=2e-3)


def test_units_of_numbers_change_nothing_but_the_units():
    maps = maps_of()
    targets = numbers_of(maps)
    other = Targets.of_numbers(("x", "y"), targets.values * [1000, 0.001] - [7, 3])
    found: list[Choices] = [
        search(HEADS[1], problem_of(each), maps)[1] for each in (targets, other)
    ]
    np.testing.assert_array_equal(found[0].chosen, found[1].chosen)
    scores = [each.scores.transpose(0, 2, 1) for each in found]
    shift, factor = np.array([7, 3]), np.array([1000, 0.001])
    np.testing.assert_allclose((scores[1] + shift) / factor, scores[0], rtol=1e-5)


def test_no_penalty_at_all_is_no_edge_of_the_grid():
    maps = maps_of()
    exact = Targets.of_numbers(("x",), maps[:, 0, 0, :1])  # flatten gives it without error
    problem = problem_of(exact, repeats=1)
    fit = Exact(HEADS[1], pooled_of(maps, HEADS)).cross_validate(problem)
    few = replace(problem, penalties=problem.penalties[:3])
    edge = Exact(HEADS[1], pooled_of(maps, HEADS)).cross_validate(few)
    assert fit.final["penalty"] < 1e-6 and fit.notes == []
    assert [note["code"] for note in edge.notes] == ["edge"]
