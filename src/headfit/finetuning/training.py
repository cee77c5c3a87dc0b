"""Train a part of a backbone with its head, again and again from the same weights. Imports Keras.

The part is built and compiled once; every fold starts from the pretrained weights and from a head
of its own. Maps before the part are given, so a step costs what is trained and nothing else.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from headfit.errors import EngineError
from headfit.finetuning.checkpoint import Checkpoint
from headfit.finetuning.inputs import Inputs
from headfit.finetuning.losses import guessing, loss_of, wanted_of, watched_loss
from headfit.finetuning.network import trainable_copy, weights_by_layer
from headfit.finetuning.optimizer import LayerwiseAdamW
from headfit.finetuning.recipe import Ints, Recipe, deal, draw_views
from headfit.finetuning.sweep import OF_GUESSING, SmoothLoss
from headfit.finetuning.task import History, Task
from headfit.finetuning.units import Units
from headfit.fitting.kinds import KINDS
from headfit.heads.chain import Head
from headfit.heads.keras_layers.weights import assign_head, head_weights
from headfit.images.targets import CLASS
from headfit.progress import SILENT, Progress

PREDICT_TOGETHER = 64
MOST_LOSS = 2.0  # at the end of a training, in multiples of that of guessing
UNDECAYED = ("bias", "gamma", "beta")
Step = tuple[Ints, Ints, tuple[int, ...]]
"""The images of a batch, their views, and the numbers that mixing depends on."""


class Trainer:
    """A part of a backbone with a head, as one Keras model.

    Args:
        part: from the map where training starts to the feature map.
        head: the head.
        classes: K.
        recipe: how it is trained.
        shape: value of the head's shape parameter, if it has one.
        scale: factor by which the head multiplies its maps.
        depths: of each layer of the part, by name: how many stages follow its own.
        kind: of the targets.
        scratch: whether the part learns from random weights: then batch normalisations take the
            statistics of the batches, and move their own.
    """

    def __init__(
        self,
        part: keras.Model,
        head: Head,
        classes: int,
        recipe: Recipe,
        *,
        shape: float | None = None,
        scale: float = 1.0,
        depths: Mapping[str, int] | None = None,
        scratch: bool = False,
        kind: str = CLASS,
    ) -> None:
        self.head, self.recipe, self.kind = head, recipe, kind
        self._guessing = guessing(kind, classes)
        self._units: Units | None = None
        self._scratch = scratch
        self._network = trainable_copy(part, learns_statistics=scratch)
        maps = keras.Input(part.input_shape[1:], name="start")
        features = self._network(maps)
        activation = KINDS[kind].activation
        outputs = head.build(features, classes, shape, "channels_last", scale, activation)
        self._model = keras.Model(maps, outputs, name="tuned")
        self._averages = keras.Model(maps, keras.ops.mean(features, axis=(1, 2)), name="averages")
        self._start = self._network.get_weights()
        weights = {id(weight) for weight in self._model.weights}
        self._random_states = [v for v in self._model.variables if id(v) not in weights]
        self._optimizer = LayerwiseAdamW(
            self._factors(depths or {}),
            learning_rate=recipe.learning_rates[0],
            weight_decay=recipe.weight_decay,
            global_clipnorm=recipe.clip,
        )
        self._optimizer.exclude_from_weight_decay(var_names=list(UNDECAYED))
        self._model.compile(self._optimizer, loss_of(kind, recipe.label_smoothing))
        self._optimizer.build(self._model.trainable_variables)

    def train(
        self, task: Task, progress: Progress = SILENT, checkpoint: Checkpoint | None = None
    ) -> History:
        """Train from the pretrained weights and a fitted head.

        Args:
            task: on which images, and how.
            progress: reports the fraction done.
            checkpoint: where the state is kept after each epoch; training goes on from there.

        Returns:
            What was measured. The model holds the trained weights, or if training diverged those
            that it started from.
        """
        checkpoint = checkpoint or Checkpoint()
        self._units = Units.of(task.targets, task.train)
        self.start(task.head, task.seed)
        statistics = self._statistics()
        history = self._resumed(checkpoint)
        if len(task.watch) and not history.watched:
            history.watched.append(self._watched(task))
        for epoch in range(len(history.losses), task.epochs):
            history.losses.append(self._epoch(task, epoch, progress))
            if self._has_diverged(task, history.losses[-1], last=epoch + 1 == task.epochs):
                history.diverged = True
                self.start(task.head, task.seed)
                break
            if len(task.watch):
                history.watched.append(self._watched(task))
            facts = {"losses": history.losses, "watched": history.watched}
            checkpoint.save([np.asarray(each) for each in self._state()], facts)
        self._check_frozen(statistics)
        if history.losses and not history.diverged:
            self._check_reached()
        progress(1.0)
        return history

    def sweep(self, task: Task, rates: Sequence[float], progress: Progress = SILENT) -> SmoothLoss:
        """Take a step at each of some rates, then forget all of them.

        Args:
            task: on which images; its rate and its epochs do not matter.
            rates: peak rates of the last stage.
            progress: reports the fraction done.

        Returns:
            The losses, fewer than rates if they exploded.
        """
        self._units = Units.of(task.targets, task.train)
        self.start(task.head, task.seed)
        loss = SmoothLoss(OF_GUESSING * self._guessing)
        for number, (rate, step) in enumerate(zip(rates, self._endless(task), strict=False)):
            loss.add(self._take(task, *step, rate))
            progress((number + 1) / len(rates))
            if loss.exploded:
                break
        self.start(task.head)
        progress(1.0)
        return loss

    def start(self, head: Sequence[np.ndarray], seed: Sequence[int] = (0,)) -> None:
        """Set the pretrained weights and those of a fitted head, and forget all steps.

        Args:
            head: weights of the fitted head.
            seed: numbers that dropout depends on.
        """
        self._network.set_weights(self._start)
        rng = np.random.default_rng((*seed, 3))
        for state in self._random_states:
            state.assign(rng.integers(0, 2**31, state.shape, np.int64).astype(state.dtype))
        own = head if self._units is None else self._units.divided(self.head, head)
        assign_head(self._model, self.head, self.head.name_weights(own))
        for variable in self._optimizer.variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))

    def load(self, layers: Mapping[str, Sequence[np.ndarray]], head: Sequence[np.ndarray]) -> None:
        """Set weights that were trained before."""
        self._units = None
        self.start(head)
        for layer in self._network.layers:
            if layer.name in layers:
                layer.set_weights(layers[layer.name])

    def predict(self, inputs: Inputs, images: Ints, view: int = 0) -> np.ndarray:
        """Predict one view of each of some images: probabilities or numbers, float64 (m, K)."""
        return self._in_units(self._run(self._model, inputs, images, view))

    def averages(self, inputs: Inputs, images: Ints) -> np.ndarray:
        """Give the means of the feature maps of images over positions, float32 (m, C)."""
        return self._run(self._averages, inputs, images, 0)

    def predict_maps(self, maps: np.ndarray) -> np.ndarray:
        """Predict maps at the layer where training starts, float64 (m, K)."""
        return self._in_units(self._model.predict_on_batch(maps))

    def layers(self) -> dict[str, list[np.ndarray]]:
        """Give the weights of the part, by layer, in the order of Keras' ``get_weights``."""
        return weights_by_layer(self._network)

    def head_weights(self) -> tuple[np.ndarray, ...]:
        """Give the weights of the head, in the order of a fitted head."""
        weights = head_weights(self._model, self.head)
        return weights if self._units is None else self._units.multiplied(self.head, weights)

    def _in_units(self, outputs: Any) -> np.ndarray:
        """Give what the network puts out in the numbers' own units, if it is numbers."""
        wide = np.asarray(outputs, np.float64)
        return wide if self._units is None else self._units.own(wide)

    def _epoch(self, task: Task, epoch: int, progress: Progress) -> float:
        recipe, images = self.recipe, len(task.train)
        steps = list(self._steps(task, epoch))
        losses = []
        for number, step in enumerate(steps):
            done = epoch * len(steps) + number
            rate = task.learning_rate * recipe.factor(done, images)
            losses.append(self._take(task, *step, rate))
            if not math.isfinite(losses[-1]):
                break
            progress((done + 1) / (task.epochs * len(steps)))
        return float(np.mean(losses))

    def _endless(self, task: Task) -> Iterator[Step]:
        for epoch in itertools.count():
            yield from self._steps(task, epoch)

    def _steps(self, task: Task, epoch: int) -> Iterator[Step]:
        views = draw_views(len(task.targets), task.inputs.views, epoch, task.seed)
        batches = deal(task.train, epoch, self.recipe.batch(len(task.train)), task.seed)
        for number, batch in enumerate(batches):
            yield batch, views[batch], (*task.seed, epoch, 2, number)

    def _take(
        self, task: Task, batch: Ints, views: Ints, seed: tuple[int, ...], rate: float
    ) -> float:
        """Take a step, and give the loss before it."""
        maps = task.inputs.take(batch, views)
        wanted = wanted_of(task.targets, batch, self._units)
        if self.recipe.mixup:
            maps, wanted = _mixed(maps, wanted, self.recipe.mixup, np.random.default_rng(seed))
        weights = task.targets.loss_weights
        weight = None if weights is None else weights[batch].astype(np.float32)
        self._optimizer.learning_rate = rate
        self._model.reset_metrics()  # what is returned is a mean since then
        return float(self._model.train_on_batch(maps, wanted, sample_weight=weight))

    def _watched(self, task: Task) -> float:
        predicted = self.predict(task.inputs, task.watch)
        return watched_loss(predicted, task.targets, task.watch, self._units)

    def _run(self, model: keras.Model, inputs: Inputs, images: Ints, view: int) -> np.ndarray:
        results = []
        for start in range(0, len(images), PREDICT_TOGETHER):
            rows = images[start : start + PREDICT_TOGETHER]
            # always as many, so that nothing is compiled again
            filled = np.resize(rows, PREDICT_TOGETHER)
            maps = inputs.take(filled, np.full(len(filled), view))
            results.append(np.asarray(model.predict_on_batch(maps))[: len(rows)])
        return np.concatenate(results)

    def _factors(self, depths: Mapping[str, int]) -> dict[str, float]:
        """Give the factor of the learning rate of each variable, by its path."""
        factors = {
            variable.path: self.recipe.decay ** depths.get(layer.name, 0)
            for layer in self._network.layers
            for variable in layer.trainable_variables
        }
        for variable in self._model.trainable_variables:
            factors.setdefault(variable.path, self.recipe.head_factor)
        return factors

    def _state(self) -> list[Any]:
        """List all variables that a training changes, in a fixed order."""
        metrics = {id(variable) for variable in self._model.metrics_variables}
        own = [each for each in self._model.variables if id(each) not in metrics]
        return [*own, *self._optimizer.variables]

    def _resumed(self, checkpoint: Checkpoint) -> History:
        stored = checkpoint.load()
        if stored is None:
            return History()
        arrays, facts = stored
        state = self._state()
        if [tuple(each.shape) for each in state] != [array.shape for array in arrays]:
            return History()
        for variable, array in zip(state, arrays, strict=True):
            variable.assign(array)
        return History(facts["losses"], facts["watched"])

    def _statistics(self) -> list[np.ndarray]:
        return [np.asarray(each) for each in self._network.non_trainable_weights]

    def _has_diverged(self, task: Task, loss: float, *, last: bool) -> bool:
        """Whether something is not finite, or training ends far worse than guessing."""
        arrays = [np.float64(loss), *self._model.get_weights()]
        if not all(np.isfinite(array).all() for array in arrays):
            return True
        if not last:
            return False
        # the last step has changed weights after the last loss was measured
        finite = np.isfinite(self.predict(task.inputs, task.train[:PREDICT_TOGETHER])).all()
        lost = loss > MOST_LOSS * self._guessing and not self._scratch
        return bool(lost or not finite)

    def _check_frozen(self, before: list[np.ndarray]) -> None:
        """See that no frozen weight moved, batch statistics above all."""
        if self._scratch:
            return
        for former, now in zip(before, self._statistics(), strict=True):
            if not np.array_equal(former, now):
                raise EngineError(
                    "A frozen weight or a statistic of a batch normalisation changed in training, "
                    "which a layer of this backbone does by itself. It cannot be fine-tuned."
                )

    def _check_reached(self) -> None:
        """See that the optimiser moved each weight that is trained."""
        for variable in self._model.trainable_variables:
            if not self._optimizer.reached(variable):
                raise EngineError(
                    f"No gradient reached {variable.path}, so it was not trained. Leave it out: "
                    f"set `unfreeze` to a layer after it."
                )


def _mixed(
    maps: np.ndarray, wanted: np.ndarray, alpha: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mix each image and its target with those of another one of the batch."""
    share = np.float32(rng.beta(alpha, alpha))
    other = rng.permutation(len(maps))
    rest = np.float32(1) - share
    return share * maps + rest * maps[other], share * wanted + rest * wanted[other]
