"""What mistakes of evaluation would claim, where the truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from headfit.fitting.descent import grid
from headfit.fitting.descent.budget import trials_for
from headfit.fitting.exact.grid import predictions_at_each
from headfit.fitting.exact.method import Exact
from headfit.fitting.methods import Descent
from headfit.fitting.problem import CrossValidation, Problem
from headfit.heads.chain import parse_head
from headfit.images.targets import LABELS, Targets
from headfit.study import claims
from headfit.study.comparison.evidence import weighted_scores
from headfit.study.comparison.selection import expected_score
from simulations import GAP, pooled_of, problem_of

CHANCE = 0.5


def without_signal(
    seed: int, images: int = 60, copied: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels without meaning, features, and groups; the last images are copies of the first."""
    rng = np.random.default_rng(seed)
    labels, values = rng.permutation(np.arange(images) % 2), rng.normal(size=(images, 100))
    source = np.append(np.arange(images), np.arange(copied))
    return labels[source], values[source] + 0.02 * rng.normal(size=(len(source), 100)), source


def fitted(values: np.ndarray, problem: Problem) -> CrossValidation:
    return Exact(GAP, pooled_of(values)).cross_validate(problem)


def test_a_penalty_chosen_on_the_scored_folds_claims_what_is_not_there():
    found: list[dict[str, claims.Claim]] = []
    for seed in range(12):
        labels, values, _ = without_signal(seed)
        problem = problem_of(labels, 5, 1, seed)
        found.append(claims.tuning(fitted(values, problem), pooled_of(values), problem))
    honest, fold, overall = (
        np.mean([getattr(each[name], key) for each in found])
        for name, key in (("fold", "honest"), ("fold", "claimed"), ("overall", "claimed"))
    )
    assert honest == pytest.approx(CHANCE, abs=0.06)
    assert fold > overall > honest
    assert fold > CHANCE + 0.04
    assert all(each["fold"].inflation >= -1e-9 for each in found)


def test_more_penalties_claim_more():
    claimed = []
    for count in (2, 9, 36):
        penalties = tuple(np.geomspace(10, 1e-8, count).tolist())
        inflation = []
        for seed in range(8):
            labels, values, _ = without_signal(seed)
            problem = replace(problem_of(labels, 5, 1, seed), penalties=penalties)
            shapes = [None] * 5
            every = predictions_at_each(GAP.pooling, pooled_of(values), problem, shapes)
            best = np.max([claims.fold_scores(each, problem) for each in every], axis=0)
            inflation.append(best.mean())
        claimed.append(np.mean(inflation))
    assert claimed[0] < claimed[1] <= claimed[2] + 1e-9


@pytest.mark.parametrize("kind", ["class", "labels", "number"])
def test_the_predictions_at_a_penalty_are_those_of_a_cross_validation_with_it_alone(kind):
    rng = np.random.default_rng(1)
    values, labels = rng.normal(size=(40, 12)), np.arange(40) % 2
    values[:, 0] += 2 * labels
    targets = {
        "class": labels,
        "labels": Targets(("a", "b"), np.stack([labels, rng.permutation(labels)], 1), LABELS),
        "number": Targets.of_numbers(("a",), values[:, :1] + rng.normal(size=(40, 1))),
    }[kind]
    problem = replace(problem_of(targets, 4, 1, 0), penalties=(1e-1, 1e-2, 1e-3))
    found = predictions_at_each(GAP.pooling, pooled_of(values), problem, [None] * 4)
    for level, penalty in enumerate(problem.penalties):
        alone = fitted(values, replace(problem, penalties=(penalty,)))
        np.testing.assert_allclose(found[level], alone.probabilities, atol=5e-3)


def test_copies_in_several_folds_claim_much_and_nothing_else_does():
    apart, honest, tuned = [], [], []
    for seed in range(6):
        labels, values, groups = without_signal(seed, copied=40)
        problem = problem_of(labels, 5, 1, seed, groups)
        fit = fitted(values, problem)
        other = fitted(values, claims.ungrouped(problem))
        claim = claims.groups_apart(fit, other, problem)
        apart.append(claim.inflation)
        honest.append(claim.honest)
        tuned.append(claims.tuning(fit, pooled_of(values), problem)["overall"].inflation)
    assert np.mean(honest) == pytest.approx(CHANCE, abs=0.08)
    assert np.mean(apart) > 0.15 > 0.1 > np.mean(tuned)


def test_without_copies_the_folds_of_single_images_claim_nothing():
    labels, values, groups = without_signal(3)
    problem = problem_of(labels, 5, 2, 3, groups)
    apart = claims.ungrouped(problem)
    assert apart.splits.repeats == 1
    np.testing.assert_array_equal(apart.splits.assignment[0], problem.splits.assignment[0])
    fit = fitted(values, problem)
    claim = claims.groups_apart(fit, fitted(values, apart), problem)
    assert (claim.inflation, claim.low, claim.high) == (0, 0, 0)


def test_the_best_of_equal_heads_is_quoted_too_high_by_its_luck():
    inflation, honest = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        labels = rng.permutation(np.arange(100) % 2)
        problem = problem_of(labels, 5, 1, seed)
        right = rng.random((8, 1, 100, 1)) < 0.7
        chosen = np.where(right[..., 0], labels, 1 - labels)
        predictions = list(np.eye(2)[chosen])
        score = weighted_scores(predictions, problem)
        claim = claims.selection(score, problem, None, bootstraps=200)
        inflation.append(claim.inflation)
        honest.append(claim.honest)
        assert claim.low <= claim.inflation <= claim.high
        # the same as BBC-CV, but for the noise of its bags
        expected = expected_score(score, np.arange(8) * 0, 100, seed=seed, bootstraps=1000)[0]
        assert claim.honest == pytest.approx(expected, abs=0.02)
    assert np.mean(honest) == pytest.approx(0.7, abs=0.025)
    assert 0.03 < np.mean(inflation) < 0.1


def test_one_head_that_is_clearly_best_was_not_lucky():
    labels = np.arange(60) % 2
    problem = problem_of(labels, 5, 1, 0)
    perfect, wrong = np.eye(2)[labels][None], np.eye(2)[1 - labels][None]
    claim = claims.selection(weighted_scores([wrong, perfect], problem), problem, None)
    assert (claim.claimed, claim.inflation, claim.low, claim.high) == (1, 0, 0, 0)


@pytest.mark.slow
def test_epochs_chosen_on_the_scored_fold_claim_what_is_not_there():
    head = parse_head("gap-16")
    inflation = []
    for seed in range(4):
        labels, values, _ = without_signal(seed)
        problem = problem_of(labels, 5, 1, seed)
        pooled = pooled_of(values, (head,))
        fit = Descent(head, pooled).cross_validate(problem)
        claim = claims.tuning(fit, pooled, problem)["fold"]
        inflation.append(claim.inflation)
        assert claim.honest == pytest.approx(claims.fold_scores(fit.probabilities, problem).mean())
    assert np.mean(inflation) > 0.05


@pytest.mark.slow
def test_predictions_after_an_epoch_are_those_of_training_that_stops_there():
    head = parse_head("gap-16")
    labels, values, _ = without_signal(0)
    problem = problem_of(labels, 4, 1, 0)
    pooled = pooled_of(values, (head,))
    fit = Descent(head, pooled).cross_validate(problem)
    every = grid.predictions_at_each(head, pooled, problem, [None] * 4)
    trials = trials_for(head.body, quick=False)
    every = every.reshape(len(trials), -1, *every.shape[1:])
    rates = [trial.learning_rate for trial in trials]
    for fold, choice in enumerate(fit.choices):
        held = problem.splits.held_out(0, fold)
        trial = rates.index(choice["learning_rate"])
        same = every[trial, choice["epochs"] - 1, 0, held]
        np.testing.assert_allclose(same, fit.probabilities[0, held], atol=1e-4)
