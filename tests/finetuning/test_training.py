"""Training a part of a backbone is what plain Keras does with the rest frozen, and can be resumed.

Tolerances: the quick layers sum in another order than Keras', so losses agree within 1e-4; a
training that is resumed is equal in every bit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import tunable
from headfit.backbones.stages import tail
from headfit.errors import EngineError
from headfit.features.views import Views
from headfit.finetuning import training
from headfit.finetuning.checkpoint import Checkpoint
from headfit.finetuning.inputs import Pixels
from headfit.finetuning.optimizer import LayerwiseAdamW
from headfit.finetuning.recipe import Ints, Recipe, deal, draw_views
from headfit.finetuning.task import Task
from headfit.finetuning.training import Trainer
from headfit.heads.chain import parse_head
from headfit.images.augment import Augmentation
from headfit.images.contract import Contract
from headfit.images.targets import Targets
from headfit.progress import Progress
from numbered import numbered

SIDE, TRAIN = tunable.SIDE, np.arange(30)
CONTRACT = Contract(SIDE, SIDE, (1 / 127.5,) * 3, (-1.0,) * 3)
RECIPE = Recipe(learning_rates=(1e-2,), epochs=4, batch_size=10)
DEPTHS = {f"{kind}{number}": 2 - number for kind in ("conv", "norm") for number in range(3)}
GAP = parse_head("gap")
HEAD = tuple(np.random.default_rng(1).normal(0, 0.3, shape).astype("f4") for shape in ((12, 3), 3))


@dataclass(frozen=True)
class Computed:
    """Maps of all views in memory, (n, views, H, W, C)."""

    maps: np.ndarray

    @property
    def views(self) -> int:
        return int(self.maps.shape[1])

    def take(self, images: Ints, views: Ints) -> np.ndarray:
        found: np.ndarray = self.maps[images, views]
        return found


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    rng = np.random.default_rng(0)
    drawn = np.stack([tunable.draw(number % 3, rng)[:SIDE, :SIDE] for number in range(40)])
    views = Views(Augmentation.parse("light"), 2)
    return Pixels(drawn, list(map(str, range(40))), views, CONTRACT)


@pytest.fixture(scope="module")
def inputs(pixels: Pixels) -> Computed:
    """Maps where the last stage begins."""
    network = tunable.network()
    first = keras.Model(network.input, network.get_layer("relu1").output)
    every = np.arange(40)
    maps = [np.asarray(first(pixels.take(every, np.full(40, view)))) for view in range(2)]
    return Computed(np.stack(maps, axis=1))


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    """Of the last stage."""
    return make("relu1")


def make(start: str, recipe: Recipe = RECIPE, head: str = "gap", **more: Any) -> Trainer:
    network = tunable.network(more.pop("dropout", 0.0))
    return Trainer(tail(network, start), parse_head(head), 3, recipe, depths=DEPTHS, **more)


def task_of(inputs: Any, targets: Targets | None = None, **changes: Any) -> Task:
    found = targets or numbered(np.arange(40) % 3)
    return replace(Task(inputs, found, TRAIN, HEAD, 1e-2, RECIPE.epochs, (0, 1)), **changes)


def assert_same_weights(first: Trainer, second: Trainer) -> None:
    found, expected = first.layers(), second.layers()
    assert list(found) == list(expected)
    for name, arrays in expected.items():
        for array, other in zip(arrays, found[name], strict=True):
            np.testing.assert_array_equal(array, other)
    for array, other in zip(first.head_weights(), second.head_weights(), strict=True):
        np.testing.assert_array_equal(array, other)


class InInference(keras.Model):
    """Plain Keras: a network in inference mode, which a training is not told of, and a head."""

    def __init__(self, network: keras.Model) -> None:
        super().__init__()
        self.network = network
        self.pool = layers.GlobalAveragePooling2D()
        self.last = layers.Dense(3, activation="softmax")

    def call(self, images: Any) -> Any:
        return self.last(self.pool(self.network(images, training=False)))


@pytest.mark.parametrize("start", ["relu1", ""])
def test_it_is_end_to_end_training_with_the_rest_frozen(
    start: str, pixels: Pixels, inputs: Computed
) -> None:
    """On fixed batches, one in each epoch, so that every loss is compared."""
    recipe = replace(RECIPE, epochs=12, batch_size=30, head_factor=1.0, decay=1.0)
    task = task_of(inputs if start else pixels, epochs=12)
    found = make(start, recipe).train(task)

    network = tunable.network()
    for layer in network.layers:
        layer.trainable = not start or layer.name in ("conv2", "norm2")
    model = InInference(network)
    model(np.zeros((1, SIDE, SIDE, 3)))
    model.last.set_weights(HEAD)
    optimizer = keras.optimizers.AdamW(
        1e-2, weight_decay=recipe.weight_decay, global_clipnorm=recipe.clip
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(optimizer, "categorical_crossentropy")
    losses = []
    for epoch in range(12):
        (batch,) = deal(TRAIN, epoch, 30, task.seed)
        views = draw_views(40, 2, epoch, task.seed)[batch]
        optimizer.learning_rate = 1e-2 * recipe.factor(epoch, 30)
        wanted = np.eye(3)[task.targets.values[batch]]
        model.reset_metrics()
        losses.append(float(model.train_on_batch(pixels.take(batch, views), wanted)))
    np.testing.assert_allclose(found.losses, losses, atol=1e-4)
    assert losses[0] - losses[-1] > 0.1


@pytest.mark.parametrize("start", ["relu1", ""])
def test_all_that_is_trained_moves_and_no_statistic_does(
    start: str, pixels: Pixels, inputs: Computed, trainer: Trainer
) -> None:
    if not start:
        trainer = make(start)
    trainer.start(HEAD)
    before = trainer.layers()
    assert set(before) == ({"conv2", "norm2"} if start else set(DEPTHS))
    history = trainer.train(task_of(inputs if start else pixels))
    assert not history.diverged and history.losses[-1] < history.losses[0]
    for name, arrays in trainer.layers().items():
        moved = [np.abs(a - b).min() > 0 for a, b in zip(arrays[:2], before[name], strict=False)]
        assert all(moved), name
        for array, other in zip(arrays[2:], before[name][2:], strict=True):  # mean and variance
            np.testing.assert_array_equal(array, other)
    for array, former in zip(trainer.head_weights(), HEAD, strict=True):
        assert np.abs(array - former).min() > 0


def test_training_again_starts_from_the_same_weights(inputs: Computed, trainer: Trainer) -> None:
    first = trainer.train(task_of(inputs))
    layers_of_first = trainer.layers()
    trainer.train(task_of(inputs, seed=(5,)))
    assert not np.array_equal(trainer.layers()["conv2"][0], layers_of_first["conv2"][0])
    again = trainer.train(task_of(inputs))
    assert again == first
    np.testing.assert_array_equal(trainer.layers()["conv2"][0], layers_of_first["conv2"][0])


def test_weights_that_are_loaded_predict_as_they_did(inputs: Computed, trainer: Trainer) -> None:
    trainer.train(task_of(inputs))
    expected = trainer.predict(inputs, np.arange(40))
    stored, head = trainer.layers(), trainer.head_weights()
    trainer.start(HEAD)
    assert np.abs(trainer.predict(inputs, np.arange(40)) - expected).max() > 0.05
    trainer.load(stored, head)
    np.testing.assert_array_equal(trainer.predict(inputs, np.arange(40)), expected)
    np.testing.assert_allclose(expected.sum(axis=1), 1, atol=1e-6)
    mine = trainer.predict_maps(inputs.take(np.arange(3), np.zeros(3, int)))
    np.testing.assert_allclose(mine, expected[:3], atol=1e-6)


@pytest.mark.parametrize("rate", [1e3, 1e30])
def test_a_rate_that_diverges_leaves_the_frozen_head(
    rate: float, inputs: Computed, trainer: Trainer
) -> None:
    trainer.start(HEAD)
    before, predicted = trainer.layers(), trainer.predict(inputs, TRAIN)
    history = trainer.train(task_of(inputs, learning_rate=rate, watch=np.arange(30, 40)))
    assert history.diverged
    assert np.isfinite(history.watched).all()
    np.testing.assert_array_equal(trainer.layers()["conv2"][0], before["conv2"][0])
    np.testing.assert_array_equal(trainer.predict(inputs, TRAIN), predicted)
    assert not trainer.train(task_of(inputs)).diverged


@pytest.mark.parametrize("other", ["alive", "undead"])
def test_a_weight_that_nothing_reaches_is_an_error(inputs: Computed, other: str) -> None:
    """Whatever the names of others."""
    image = keras.Input(inputs.maps.shape[2:])
    dead = layers.Rescaling(0.0)(layers.Conv2D(12, 1, name="dead")(image))
    alive = layers.Conv2D(12, 1, name=other)(image)
    part = keras.Model(image, layers.Add()([alive, dead]))
    with pytest.raises(EngineError, match=r"No gradient reached .*dead.*`unfreeze`"):
        Trainer(part, GAP, 3, replace(RECIPE, epochs=1)).train(task_of(inputs, epochs=1))


def test_the_optimiser_tells_which_weights_a_gradient_reached() -> None:
    optimizer = LayerwiseAdamW({}, learning_rate=0.1)
    variable, other = (keras.Variable(np.ones(2), name=name) for name in "ab")
    optimizer.build([variable])
    assert not optimizer.reached(variable)
    optimizer.apply([np.float32([0, 1])], [variable])
    assert optimizer.reached(variable) and not optimizer.reached(other)


class Counting(layers.Layer):
    """Moves a weight of its own in training."""

    def build(self, shape: Any) -> None:
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False, name="count")

    def call(self, x: Any) -> Any:
        self.count.assign(self.count + 1)
        return x


def test_a_frozen_weight_that_moves_is_an_error(inputs: Computed) -> None:
    image = keras.Input(inputs.maps.shape[2:])
    part = keras.Model(image, Counting()(layers.Conv2D(12, 1)(image)))
    with pytest.raises(EngineError, match="frozen weight or a statistic"):
        Trainer(part, GAP, 3, replace(RECIPE, epochs=1)).train(task_of(inputs, epochs=1))


def test_a_stopped_training_goes_on_to_the_same_weights(inputs: Computed, tmp_path: Path) -> None:
    """After any epoch and in the middle of one, in another process's model, with dropout."""
    first, other = (make("relu1", head="gap-dropout0.3", dropout=0.3) for _ in range(2))
    task = task_of(inputs, watch=np.arange(30, 40))
    expected = first.train(task)
    assert len(expected.losses) == 4 and len(expected.watched) == 5
    for stop in range(1, 12):  # of 12 steps
        checkpoint = Checkpoint(tmp_path / f"{stop}.npz")

        def interrupt(done: float, stop: int = stop) -> None:
            if done >= stop / 12 - 1e-9:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            other.train(task, Progress(interrupt), checkpoint)
        assert other.train(task, checkpoint=checkpoint) == expected
        assert_same_weights(other, first)
        # when it is finished, nothing is trained again
        assert other.train(task, checkpoint=checkpoint) == expected
        assert_same_weights(other, first)


def test_a_state_of_another_network_is_not_used(
    inputs: Computed, trainer: Trainer, tmp_path: Path
) -> None:
    expected = trainer.train(task_of(inputs))
    checkpoint = Checkpoint(tmp_path / "state.npz")
    checkpoint.save([np.zeros(3)], {"losses": [1.0], "watched": []})
    assert trainer.train(task_of(inputs), checkpoint=checkpoint) == expected


def test_label_smoothing_and_weights_of_classes_reach_the_loss(inputs: Computed) -> None:
    recipe = replace(RECIPE, epochs=1, batch_size=30, label_smoothing=0.2)
    trainer = make("relu1", recipe)
    targets = replace(numbered(np.arange(40) % 3), class_weights=np.array([0.25, 1.0, 1.75]))
    task = task_of(inputs, targets, epochs=1)
    (loss,) = trainer.train(task).losses
    trainer.start(HEAD)
    views = draw_views(40, 2, 0, task.seed)
    p = np.stack([trainer.predict(inputs, np.arange(40), view) for view in range(2)])
    losses = -np.log(p[views[TRAIN], TRAIN]) * (0.8 * np.eye(3)[targets.values[TRAIN]] + 0.2 / 3)
    weights = targets.loss_weights
    assert weights is not None
    assert loss == pytest.approx((losses.sum(axis=1) * weights[TRAIN]).mean(), abs=1e-5)


def test_mixup_mixes_images_and_targets_alike() -> None:
    rng = np.random.default_rng(0)
    wanted = np.eye(5, dtype=np.float32)[np.arange(20) % 5]
    maps = np.broadcast_to(wanted[:, None, None, :], (20, 2, 2, 5))
    mixed, targets = training._mixed(maps, wanted, 1.0, rng)
    np.testing.assert_allclose(mixed, np.broadcast_to(targets[:, None, None, :], mixed.shape))
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    assert 10 < ((targets > 0).sum(axis=1) == 2).sum() <= 20
    assert len(np.unique(targets.max(axis=1).round(5))) <= 2  # one share for the batch


def test_mixup_is_part_of_training(inputs: Computed, trainer: Trainer) -> None:
    plain = trainer.train(task_of(inputs))
    recipe = trainer.recipe
    try:
        trainer.recipe = replace(recipe, mixup=0.4)
        first, again = (trainer.train(task_of(inputs)) for _ in range(2))
    finally:
        trainer.recipe = recipe
    assert first == again
    assert np.abs(np.subtract(first.losses, plain.losses)).max() > 0.01


def test_earlier_stages_and_the_head_have_rates_of_their_own(pixels: Pixels) -> None:
    """The first step of Adam is as long as the rate, whatever the gradient."""
    trainer = make("", replace(RECIPE, epochs=1, batch_size=30, head_factor=10.0))
    trainer.start(HEAD)
    before = trainer.layers()
    trainer.train(task_of(pixels, epochs=1))
    step = 1e-2 * trainer.recipe.factor(0, 30)
    for number, depth in enumerate((2, 1, 0)):
        beta, former = (each[f"norm{number}"][1] for each in (trainer.layers(), before))
        assert np.median(np.abs(beta - former)) == pytest.approx(step * 0.7**depth, rel=0.01)
    bias = np.abs(trainer.head_weights()[1] - HEAD[1])
    assert np.median(bias) == pytest.approx(10 * step, rel=0.01)


def test_from_scratch_the_statistics_are_those_of_the_images(pixels: Pixels) -> None:
    trainer = make("", scratch=True)
    history = trainer.train(task_of(pixels))
    assert not history.diverged
    for name in ("norm0", "norm1", "norm2"):
        mean, variance = trainer.layers()[name][2:]
        assert np.abs(mean).max() > 0 and np.abs(variance - 1).max() > 0
