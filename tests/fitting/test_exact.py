from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from headfit.features.store import FeatureStore
from headfit.fitting.exact import coordinates, logistic, method, penalties
from headfit.fitting.exact.method import Exact
from headfit.fitting.exact.ridge import best_shapes
from headfit.fitting.metrics import balanced_accuracy
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import Problem, Splits
from headfit.heads.chain import parse_head
from headfit.progress import Progress
from headfit.report.text.summary import fit_warnings
from headfit.study.protocol.splits import make_splits
from numbered import numbered

GAP, FLATTEN, GEM = map(parse_head, ("gap", "flatten", "gem"))
FEW = (1.0, 1e-2, 1e-4)


@pytest.fixture
def store(tmp_path):
    return FeatureStore(tmp_path)


def pooled(store: FeatureStore, maps: np.ndarray) -> PooledFeatures:
    images = [f"{len(store)}-{i}" for i in range(len(maps))]
    store.append(images, maps.astype(np.float32))
    return PooledFeatures(store.maps(images), (GAP.pooling, FLATTEN.pooling, GEM.pooling))


def random_maps(labels: np.ndarray, signal: float = 1.0, seed: int = 0) -> np.ndarray:
    """Maps (n, 2, 2, 8) whose mean differs by class."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(labels.max() + 1, 1, 1, 8))
    return np.maximum(signal * centres[labels] + rng.normal(size=(len(labels), 2, 2, 8)) + 1, 0)


def problem_of(labels, folds=4, repeats=1, penalties=FEW, seed=0) -> Problem:
    splits = make_splits(labels, folds=folds, repeats=repeats, seed=seed)
    return Problem(numbered(labels), splits, penalties)


def test_labels_without_meaning_are_predicted_at_chance(store):
    labels = np.arange(90) % 3
    features = pooled(store, random_maps(labels))
    scores = []
    for seed in range(12):
        shuffled = np.random.default_rng(seed).permutation(labels)
        outcome = Exact(GAP, features).cross_validate(problem_of(shuffled, folds=3, seed=seed))
        scores.append(balanced_accuracy(outcome.probabilities[0], shuffled))
    # standard error of the mean 0.015
    assert np.mean(scores) == pytest.approx(1 / 3, abs=0.05)
    true = Exact(GAP, features).cross_validate(problem_of(labels, folds=3))
    assert balanced_accuracy(true.probabilities[0], labels) > 0.7


@pytest.mark.parametrize("head", [GAP, GEM])
def test_a_held_out_fold_has_no_say_in_its_own_settings_and_predictions(store, head):
    labels = np.arange(80) % 2
    features = pooled(store, random_maps(labels, 0.3))
    problem = problem_of(labels, penalties=tuple(10.0**-power for power in range(5)))
    plain = Exact(head, features).cross_validate(problem)
    for fold in range(4):
        held = problem.splits.assignment[0] == fold
        permuted = labels.copy()
        permuted[held] = 1 - labels[held]
        other = Problem(numbered(permuted, 2), problem.splits, problem.penalties)
        changed = Exact(head, features).cross_validate(other)
        assert changed.choices[fold] == plain.choices[fold]
        np.testing.assert_allclose(
            changed.probabilities[0, held], plain.probabilities[0, held], atol=1e-5
        )
        assert not np.allclose(
            changed.probabilities[0, ~held], plain.probabilities[0, ~held], atol=3e-2
        )


def scikit(z, labels, rows, penalty) -> np.ndarray:
    model = LogisticRegression(C=1 / (penalty * rows.sum()), tol=1e-8, max_iter=5000)
    return model.fit(z[rows], labels[rows]).predict_proba(z)


def test_the_nested_losses_are_those_of_brute_force(store, monkeypatch):
    monkeypatch.setattr(logistic.Path.go, "__defaults__", (logistic.TOLERANCE,))
    labels = np.arange(60) % 3
    features = pooled(store, random_maps(labels, 0.5))
    problem = problem_of(labels)
    assignment = problem.splits.assignment[0]
    rotated = features.coordinates(GAP.pooling, None)
    z = rotated.z.astype(np.float64)
    units = [(0, fold) for fold in range(4)]
    choices = penalties.choose(rotated, problem, units)
    for outer in range(4):
        training = assignment != outer
        for number, penalty in enumerate(FEW):
            given = np.full((60, 3), np.nan)
            for inner in set(range(4)) - {outer}:
                rows = training & (assignment != inner)
                held = assignment == inner
                given[held] = scikit(z, labels, rows, penalty)[held]
            wanted = log_loss(labels[training], given[training])
            assert choices.losses[outer, number] == pytest.approx(wanted, rel=1e-2)
    assert choices.stopped == 0


def test_predictions_and_training_scores_are_those_of_brute_force(store):
    labels = np.arange(60) % 3
    features = pooled(store, random_maps(labels, 0.5))
    problem = problem_of(labels, repeats=2)
    outcome = Exact(FLATTEN, features).cross_validate(problem)
    assert outcome.probabilities.shape == (2, 60, 3)
    z = features.coordinates(FLATTEN.pooling, None).z
    for number, choice in enumerate(outcome.choices):
        repeat, fold = divmod(number, 4)
        held = problem.splits.assignment[repeat] == fold
        wanted = scikit(z, labels, ~held, choice["penalty"])
        np.testing.assert_allclose(outcome.probabilities[repeat, held], wanted[held], atol=5e-3)
        score = balanced_accuracy(wanted[~held], labels[~held])
        assert outcome.train_scores[number] == pytest.approx(score, abs=0.03)


@pytest.mark.parametrize("head", [GAP, FLATTEN])
@pytest.mark.parametrize("penalty", [1e-2, 1e-6])
@pytest.mark.parametrize(("size", "atol"), [(0, 5e-3), (10**6, 2e-3)])  # float32 and float64
def test_the_refitted_head_is_the_exact_one_on_all_images(
    store, monkeypatch, head, penalty, size, atol
):
    monkeypatch.setattr(method, "FLOAT64_SIZE", size)
    labels = np.arange(60) % 3
    maps = random_maps(labels, 0.4)
    maps[30:] = maps[:30]  # copies, some under another label
    labels[40:] = 0
    features = pooled(store, maps)
    problem = problem_of(labels, penalties=tuple(10.0**-power for power in range(9)))
    fitted = Exact(head, features).refit(problem, {"shape": None, "penalty": penalty})
    z = features.coordinates(head.pooling, None).z
    wanted = scikit(z, labels, np.ones(60, bool), penalty)
    np.testing.assert_allclose(fitted.probabilities_of(features.maps), wanted, atol=atol)


def test_a_penalty_at_the_edge_of_the_grid_is_a_warning(store):
    labels = np.arange(60) % 2
    features = pooled(store, random_maps(labels, 4.0))
    outcome = Exact(GAP, features).cross_validate(problem_of(labels))
    assert outcome.final["penalty"] == 1e-4
    assert fit_warnings("gap", outcome.notes) == [
        "gap: the best penalty, 0.0001, lies at the edge of the grid; a value beyond it may be "
        "better."
    ]
    features = pooled(store, random_maps(labels, 0.5))
    outcome = Exact(GAP, features).cross_validate(problem_of(labels, penalties=(100, 0.1, 1e-8)))
    assert (outcome.final["penalty"], outcome.notes) == (0.1, [])


def test_fits_that_run_out_of_steps_are_a_warning(store, monkeypatch):
    monkeypatch.setattr(logistic.minimise, "__defaults__", (logistic.TOLERANCE, 1))
    labels = np.arange(60) % 2
    outcome = Exact(GAP, pooled(store, random_maps(labels))).cross_validate(problem_of(labels))
    assert "ran out of steps" in fit_warnings("gap", outcome.notes)[-1]


def test_the_exponent_of_gem_is_chosen_by_the_images(store):
    labels = np.arange(120) % 2
    rng = np.random.default_rng(0)
    maps = np.abs(rng.normal(size=(120, 4, 4, 6)))
    # the same mean, but one class has its strength at a single position
    peaked = labels == 1
    total = maps[peaked].sum(axis=(1, 2))
    maps[peaked] *= 0.6
    maps[peaked, 1, 2] += 0.4 * total
    features = pooled(store, maps)
    outcome = Exact(GEM, features).cross_validate(problem_of(labels))
    assert outcome.final["shape"] > 1
    assert all(choice["shape"] > 1 for choice in outcome.choices)
    problem = problem_of(labels)
    shapes = best_shapes(GEM.pooling, features, problem)
    assert shapes == [choice["shape"] for choice in outcome.choices]
    fitted = Exact(GEM, features).refit(problem, outcome.final)
    assert fitted.shape == outcome.final["shape"]
    assert best_shapes(GAP.pooling, features, problem) == [None] * 4


def test_two_folds_leave_no_inner_split_and_take_the_middle_penalty(store):
    labels = np.arange(40) % 2
    features = pooled(store, random_maps(labels, 3.0))
    outcome = Exact(GAP, features).cross_validate(problem_of(labels, folds=2))
    assert [choice["penalty"] for choice in outcome.choices] == [1e-2, 1e-2]
    assert balanced_accuracy(outcome.probabilities[0], labels) > 0.9


def test_a_class_that_an_inner_split_lacks_is_no_trouble(store):
    labels = np.repeat([0, 1, 2], [30, 30, 2])
    assignment = np.arange(62) % 4
    assignment[-2:] = 0, 1  # without folds 0 and 1 there is none of class 2
    problem = Problem(numbered(labels, 3), Splits(4, 1, 0, assignment[None].astype(np.int16)), FEW)
    outcome = Exact(GAP, pooled(store, random_maps(labels))).cross_validate(problem)
    assert np.isfinite(outcome.probabilities).all()
    np.testing.assert_allclose(outcome.probabilities.sum(axis=2), 1)


def test_progress_ends_at_one(store):
    labels = np.arange(40) % 2
    seen = []
    maps, problem = random_maps(labels), problem_of(labels, repeats=2)
    Exact(GEM, pooled(store, maps)).cross_validate(problem, Progress(seen.append))
    assert seen == sorted(seen) and seen[-1] == 1.0


def test_the_loose_tolerance_of_inner_models_chooses_the_same_penalties(store, monkeypatch):
    labels = np.arange(150) % 3
    rotated = pooled(store, random_maps(labels, 0.4)).coordinates(FLATTEN.pooling, None)
    grid = tuple(10.0**-power for power in range(1, 8))
    problem = problem_of(labels, penalties=grid, repeats=2)
    units = [(repeat, fold) for repeat in range(2) for fold in range(4)]
    loose = penalties.choose(rotated, problem, units)
    monkeypatch.setattr(logistic.Path.go, "__defaults__", (1e-4,))
    exact = penalties.choose(rotated, problem, units)
    # where two penalties are as good as each other either will do
    worse = exact.losses[np.arange(8), loose.chosen] / exact.losses.min(
        axis=1, initial=np.inf, where=~np.isnan(exact.losses)
    )
    assert (worse < 1.01).all()


def test_a_fold_stops_on_the_path_where_its_loss_clearly_rises(store):
    labels = np.arange(90) % 3
    features = pooled(store, random_maps(labels, 0.4))
    grid = tuple(10.0**-power for power in range(1, 10))
    problem = problem_of(labels, penalties=grid, repeats=2)
    units = [(repeat, fold) for repeat in range(2) for fold in range(4)]
    choices = penalties.choose(features.coordinates(FLATTEN.pooling, None), problem, units)
    for losses, best in zip(choices.losses, choices.chosen, strict=True):
        tried = losses[~np.isnan(losses)]
        assert np.isnan(losses[len(tried) :]).all()
        assert tried.argmin() == best
        assert best <= len(tried) - 1 <= best + 2
        if len(tried) < len(grid):
            assert tried[-1] > tried[best]
    assert np.isnan(choices.losses).any()


def test_repeats_that_do_not_fit_in_memory_together_come_out_the_same(store, monkeypatch):
    labels = np.arange(60) % 3
    features = pooled(store, random_maps(labels, 0.5))
    problem = problem_of(labels, repeats=3)
    together = Exact(GAP, features).cross_validate(problem)
    monkeypatch.setattr(penalties, "PATH_BYTES", 1)
    alone = Exact(GAP, features).cross_validate(problem)
    assert alone.choices == together.choices
    np.testing.assert_allclose(alone.probabilities, together.probabilities, atol=1e-4)


def test_an_approximation_is_said(store, monkeypatch):
    labels = np.arange(60) % 2
    features = pooled(store, random_maps(labels))
    monkeypatch.setattr("headfit.fitting.pooled.NARROW", 1)
    monkeypatch.setattr("headfit.fitting.exact.gram.MOST_IMAGES", 50)
    monkeypatch.setitem(coordinates.of_blocks.__kwdefaults__, "exact", 50)
    monkeypatch.setitem(coordinates.of_blocks.__kwdefaults__, "landmarks", 12)
    outcome = Exact(FLATTEN, features).cross_validate(problem_of(labels))
    (note,) = [each for each in outcome.notes if each["code"] == "projected"]
    (warning,) = fit_warnings("flatten", [note])
    assert warning.startswith("flatten: for 60 images its features are approximated by those of 12")
    assert balanced_accuracy(outcome.probabilities[0], labels) > 0.8
