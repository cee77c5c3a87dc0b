"""Fine-tuning in cross-validation: what is held out takes no part, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import tunable
from headfit.backbones.stages import tail
from headfit.finetuning.method import FineTuning
from headfit.finetuning.recipe import Ints, Recipe
from headfit.finetuning.training import Trainer
from headfit.fitting.exact.method import Exact
from headfit.fitting.fitted import FittedHead
from headfit.fitting.problem import Problem, Settings
from headfit.heads.chain import parse_head
from headfit.progress import Progress
from numbered import numbered
from simulations import pooled_of, problem_of

N, FOLDS, SIDE = 36, 3, tunable.SIDE
GAP = parse_head("gap")
RECIPE = Recipe(learning_rates=(1e-2,), epochs=3, batch_size=8, head_factor=10.0)
TWO = replace(RECIPE, learning_rates=(1e-2, 1e-3))


@dataclass(frozen=True)
class Maps:
    """Maps in memory, (n, views, H, W, C)."""

    maps: np.ndarray

    @property
    def views(self) -> int:
        return int(self.maps.shape[1])

    def take(self, images: Ints, views: Ints) -> np.ndarray:
        taken: np.ndarray = self.maps[images, views]
        return taken


@dataclass(frozen=True)
class World:
    """Maps where the last stage begins, in two views, and at the end."""

    start: Maps
    end: np.ndarray
    problem: Problem
    build: Callable[[Recipe], Callable[[float | None, float], Trainer]]

    def fit_head(self, problem: Problem, images: Ints, settings: Settings) -> FittedHead:
        part = replace(problem, targets=problem.targets.subset(images))
        return Exact(GAP, pooled_of(self.end[images])).refit(part, settings)

    def untrained(self, method: FineTuning) -> np.ndarray:
        """What the heads predict that training starts from, (1, n, K)."""
        predicted = np.empty((1, N, 3))
        for fold, settings in enumerate(method.frozen.choices):
            train, held = self.problem.splits.indices(0, fold)
            fitted = self.fit_head(self.problem, train, settings)
            predicted[0, held] = fitted.probabilities(self.end[held])
        return predicted

    def method(self, folder: Path, recipe: Recipe = RECIPE, **changes: Any) -> FineTuning:
        frozen = Exact(GAP, pooled_of(self.end)).cross_validate(self.problem)
        method = FineTuning(
            *(GAP, "last", "relu1", recipe, self.start, "views", "source"),
            *(self.fit_head, frozen, self.build(recipe), 876, folder),
        )
        return replace(method, **changes)


@pytest.fixture(scope="module")
def world() -> World:
    rng = np.random.default_rng(0)
    labels = np.arange(N) % 3
    pixels = np.stack([tunable.draw(kind, rng)[:SIDE, :SIDE] for kind in labels]) / 127.5 - 1
    network = tunable.network()
    outputs = [network.get_layer("relu1").output, network.output]
    both = keras.Model(network.input, outputs)
    (start, end), (turned, _) = (list(map(np.asarray, both(p))) for p in (pixels, pixels[:, ::-1]))
    trainers: dict[Recipe, Trainer] = {}

    def build(recipe: Recipe) -> Callable[[float | None, float], Trainer]:
        def make(shape: float | None, scale: float) -> Trainer:
            if recipe not in trainers:  # compiled once for all tests
                trainers[recipe] = Trainer(
                    tail(network, "relu1"), GAP, 3, recipe, shape=shape, scale=scale
                )
            return trainers[recipe]

        return make

    problem = problem_of(labels, FOLDS, 1, 0)
    return World(Maps(np.stack([start, turned], axis=1)), end, problem, build)


def test_the_held_out_fold_takes_no_part_in_training_or_choice(
    world: World, tmp_path: Path
) -> None:
    """Other labels there change neither its predictions nor its rate and number of epochs."""
    method = world.method(tmp_path, TWO)
    found = method.cross_validate(world.problem)
    assert {choice["learning_rate"] for choice in found.choices} <= set(TWO.learning_rates)
    assert all(0 <= choice["epochs"] <= 3 for choice in found.choices)
    _, held = world.problem.splits.indices(0, 1)
    labels = world.problem.targets.values.copy()
    labels[held] = (labels[held] + 1) % 3
    other = replace(world.problem, targets=numbered(labels))
    again = method.cross_validate(other)
    np.testing.assert_array_equal(again.probabilities[0, held], found.probabilities[0, held])
    assert again.choices[1] == found.choices[1]
    train, _ = world.problem.splits.indices(0, 1)
    assert np.abs(again.probabilities[0, train] - found.probabilities[0, train]).max() > 0.01


def test_training_improves_on_the_frozen_head_and_says_what_it_trained(
    world: World, tmp_path: Path
) -> None:
    method = world.method(tmp_path, replace(RECIPE, epochs=10))
    found = method.cross_validate(world.problem)
    labels = world.problem.targets.values
    (right,) = (found.probabilities.argmax(axis=2) == labels).mean(axis=1)
    (before,) = (method.frozen.probabilities.argmax(axis=2) == labels).mean(axis=1)
    assert right > before + 0.1
    assert (found.name, found.trained, found.notes) == ("gap+last", 876, [])
    assert found.seconds > 0
    assert found.final == {**method.frozen.final, "learning_rate": 1e-2, "epochs": 10}


def test_a_fold_that_gains_nothing_keeps_the_frozen_head(world: World, tmp_path: Path) -> None:
    method = world.method(tmp_path, replace(RECIPE, learning_rates=(10.0, 9.0)))
    found = method.cross_validate(world.problem)
    assert [choice["epochs"] for choice in found.choices] == [0] * FOLDS
    np.testing.assert_allclose(found.probabilities, world.untrained(method), atol=1e-5)
    assert found.final["epochs"] == 0


def test_a_rate_that_diverges_is_noted_and_the_frozen_head_kept(
    world: World, tmp_path: Path
) -> None:
    method = world.method(tmp_path, replace(RECIPE, learning_rates=(10.0,)))
    found = method.cross_validate(world.problem)
    assert found.notes == [{"code": "diverged", "folds": FOLDS}]
    np.testing.assert_allclose(found.probabilities, world.untrained(method), atol=1e-5)
    assert method.refit(world.problem, found.final).layers is None


def no_trainer(*_: object) -> Trainer:
    raise AssertionError("trained again")


def test_finished_folds_are_not_trained_again_and_leave_one_file_each(
    world: World, tmp_path: Path
) -> None:
    method = world.method(tmp_path, TWO)
    found = method.cross_validate(world.problem)
    assert len(list(tmp_path.iterdir())) == FOLDS
    again = world.method(tmp_path, TWO, make=no_trainer).cross_validate(world.problem)
    np.testing.assert_array_equal(again.probabilities, found.probabilities)
    assert (again.choices, again.seconds) == (found.choices, found.seconds)
    other = replace(world.problem, seed=1)
    with pytest.raises(AssertionError, match="trained again"):
        world.method(tmp_path, TWO, make=no_trainer).cross_validate(other)
    next(tmp_path.iterdir()).write_bytes(b"damaged")
    repaired = world.method(tmp_path, TWO).cross_validate(world.problem)
    np.testing.assert_array_equal(repaired.probabilities, found.probabilities)


@pytest.mark.parametrize("done", [0.1, 0.4, 0.62, 0.97])
def test_an_interrupted_run_goes_on_to_the_same_result(
    world: World, tmp_path: Path, done: float
) -> None:
    def interrupt(fraction: float) -> None:
        if fraction >= done:
            raise KeyboardInterrupt

    expected = world.method(tmp_path / "whole", TWO).cross_validate(world.problem)
    method = world.method(tmp_path / "parts", TWO)
    with pytest.raises(KeyboardInterrupt):
        method.cross_validate(world.problem, Progress(interrupt))
    found = method.cross_validate(world.problem)
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    assert (found.choices, found.final) == (expected.choices, expected.final)


def test_scores_may_be_of_the_mean_over_views(world: World, tmp_path: Path) -> None:
    method = world.method(tmp_path)
    plain = method.cross_validate(world.problem)
    mean = world.method(tmp_path, average=True, make=no_trainer).cross_validate(world.problem)
    assert mean.name == "gap+last+tta"
    assert np.abs(mean.probabilities - plain.probabilities).max() > 0.01
    # each fold's mean is of its own model
    train, held = world.problem.splits.indices(0, 0)
    fitted = world.fit_head(world.problem, train, method.frozen.choices[0])
    trainer = method._trainer(fitted)
    method._train(  # as the fold did, without its stored state
        *(trainer, world.problem, train, fitted, plain.choices[0]),
        *((world.problem.seed, 1), method._checkpoint(world.problem, "again")),
    )
    views = [trainer.predict(world.start, held, view) for view in range(2)]
    np.testing.assert_allclose(mean.probabilities[0, held], np.mean(views, axis=0), atol=1e-6)


def test_the_model_of_all_images_can_be_loaded(world: World, tmp_path: Path) -> None:
    method = world.method(tmp_path, replace(RECIPE, epochs=10))
    settings = method.cross_validate(world.problem).final
    fitted = method.refit(world.problem, settings)
    assert fitted.layers is not None and set(fitted.layers) == {"conv2", "norm2"}
    trainer = method.loaded(fitted)
    expected = trainer.predict(world.start, np.arange(N))
    again = method.refit(world.problem, settings)  # from what was stored
    np.testing.assert_array_equal(again.weights[0], fitted.weights[0])
    right = expected.argmax(axis=1) == world.problem.targets.values
    assert right.mean() > 0.6
