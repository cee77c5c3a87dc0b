"""Fine-tuning as one more method: linear probing, then training a part of the backbone.

In each outer training fold the exact head is fitted first, and training starts from it (LP-FT,
Kumar et al. 2022). What is held out takes no part: neither in the head nor in the choice of the
rate and the number of epochs, which is made on an inner split. All views of an image lie in its
fold, and scores are of the images as they are or, on request, of the mean over their views.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headfit.finetuning.checkpoint import Checkpoint
from headfit.finetuning.inputs import Inputs
from headfit.finetuning.recipe import Ints, Recipe
from headfit.finetuning.sweep import SmoothLoss
from headfit.finetuning.task import Task
from headfit.fitting.fitted import FittedHead
from headfit.fitting.problem import CrossValidation, Problem, Settings
from headfit.heads.chain import Head
from headfit.images.targets import CLASS
from headfit.progress import SILENT, Progress
from headfit.util import digests

if TYPE_CHECKING:
    from headfit.finetuning.training import Trainer

FitHead = Callable[[Problem, Ints, Settings], FittedHead]
"""Fits the frozen head on some images, int (m,), of a problem, with settings."""
DIVERGED = "diverged"
AVERAGED = "tta"
"""Of the name of a row whose scores are of the mean prediction over views."""


@dataclass(frozen=True, eq=False)
class FineTuning:
    """Trains a head and the part of the backbone before it.

    Attributes:
        head: the head.
        name: what is trained, as the user named it: ``last``, ``all``, a number or a layer.
        start: the layer before the part that is trained; empty for all of it.
        recipe: how it is trained.
        inputs: views of the n images at ``start``.
        views: plain data that decides the views.
        source: plain data that decides the maps, the images and their order.
        fit_head: fits the frozen head, from whose weights training starts.
        frozen: the cross-validation of the frozen head, whose settings each fold takes.
        make: builds the model that is trained, for a shape and a scale of the head.
        parameters: number of weights of the part that is trained.
        folder: where finished folds and the state of the one in progress are stored.
        average: whether scores are of the mean prediction over the views of an image.
    """

    head: Head
    name: str
    start: str
    recipe: Recipe
    inputs: Inputs
    views: Any
    source: Any
    fit_head: FitHead
    frozen: CrossValidation
    make: Callable[[float | None, float], Trainer]
    parameters: int
    folder: Path
    average: bool = False
    _trainers: dict[tuple[float | None, float], Trainer] = field(default_factory=dict)

    @property
    def identity(self) -> Any:
        """See :class:`headfit.fitting.methods.Method`."""
        from headfit.util.child import default_backend  # noqa: PLC0415

        return {
            "tuned": [self.head.identity, self.start],
            "recipe": self.recipe.identity,
            "views": self.views,
            "frozen": [self.frozen.choices, self.frozen.final],
            "versions": [version("keras"), default_backend()],
        }

    def cross_validate(self, problem: Problem, progress: Progress = SILENT) -> CrossValidation:
        """See :class:`headfit.fitting.methods.Method`."""
        splits = problem.splits
        shape = (splits.repeats, len(problem.targets), problem.targets.count)
        probabilities = np.empty(shape)
        scores, choices, diverged, seconds = [], [], 0, 0.0
        for number, (repeat, fold) in enumerate(splits.units):
            part = progress.part(number, len(splits.units))
            plain, mean, facts = self._fold(problem, number, part)
            _, held = splits.indices(repeat, fold)
            probabilities[repeat, held] = mean if self.average else plain
            scores.append(facts["train_score"])
            choices.append(facts["choice"])
            diverged += facts[DIVERGED]
            seconds += facts["seconds"]
        notes = [{"code": DIVERGED, "folds": diverged}] if diverged else []
        return CrossValidation(
            self.head,
            probabilities,
            np.array(scores),
            choices,
            self._final(choices),
            notes,
            seconds,
            variant=f"{self.name}+{AVERAGED}" if self.average else self.name,
            trained=self.parameters,
        )

    def refit(self, problem: Problem, settings: Settings) -> FittedHead:
        """See :class:`headfit.fitting.methods.Method`; the trained layers come with it.

        If training diverges, it is the frozen head, without layers.
        """
        images = np.arange(len(problem.targets))
        fitted = self.fit_head(problem, images, self.frozen.final)
        trainer = self._trainer(fitted)
        checkpoint = self._checkpoint(problem, "refit", settings)
        seed = (problem.seed, 0)
        if self._train(trainer, problem, images, fitted, settings, seed, checkpoint):
            return fitted
        layers = {name: tuple(arrays) for name, arrays in trainer.layers().items()}
        return replace(fitted, weights=trainer.head_weights(), layers=layers)

    def loaded(self, fitted: FittedHead) -> Trainer:
        """Give the model with the weights of :meth:`refit`."""
        trainer = self._trainer(fitted)
        trainer.load(fitted.layers or {}, fitted.weights)
        return trainer

    def sweep(
        self, problem: Problem, rates: Sequence[float], progress: Progress = SILENT
    ) -> SmoothLoss:
        """Take steps at rising rates on the training images of the first fold; store nothing."""
        images, _ = problem.splits.indices(*problem.splits.units[0])
        fitted = self.fit_head(problem, images, self.frozen.choices[0])
        settings = {"learning_rate": rates[0], "epochs": 1}
        task = self._task(problem, images, fitted, settings, (problem.seed, 1))
        return self._trainer(fitted).sweep(task, rates, progress)

    def _fold(
        self, problem: Problem, number: int, progress: Progress
    ) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Train one fold, or look it up.

        Returns:
            Predictions of the images held out, as they are and averaged over their views, each
            float64 (m, K), and what else is known.
        """
        finished = self._checkpoint(problem, "fold", number)
        stored = finished.load()
        if stored is None:
            arrays, facts = self._trained_fold(problem, number, progress)
            finished.save(arrays, facts)
            self._forget(problem, number, facts["choice"])
        else:
            arrays, facts = stored
        plain, mean = arrays
        return plain, mean, facts

    def _trained_fold(
        self, problem: Problem, number: int, progress: Progress
    ) -> tuple[list[np.ndarray], dict[str, Any]]:
        splits, begun = problem.splits, time.perf_counter()
        repeat, fold = splits.units[number]
        train, held = splits.indices(repeat, fold)
        frozen, seed = self.frozen.choices[number], (problem.seed, number + 1)
        choice = self._choose(problem, number, progress.part(0, 2)) if self.recipe.chooses else {}
        choice = choice or {
            "learning_rate": self.recipe.learning_rates[0],
            "epochs": self.recipe.epochs,
        }
        fitted = self.fit_head(problem, train, frozen)
        trainer = self._trainer(fitted)
        last = progress.part(1, 2) if self.recipe.chooses else progress
        checkpoint = self._checkpoint(problem, "state", number, choice)
        diverged = self._train(
            trainer, problem, train, fitted, choice, seed, checkpoint, progress=last
        )
        views = [trainer.predict(self.inputs, held, view) for view in range(self.inputs.views)]
        score = problem.score_part(trainer.predict(self.inputs, train), train)
        facts = {
            "choice": {**frozen, **choice},
            "train_score": score,
            DIVERGED: diverged,
            "seconds": time.perf_counter() - begun,
        }
        return [views[0], np.mean(views, axis=0)], facts

    def _forget(self, problem: Problem, number: int, choice: Settings) -> None:
        """Remove the states of a fold that is finished."""
        chosen = {name: choice[name] for name in ("learning_rate", "epochs")}
        self._checkpoint(problem, "state", number, chosen).remove()
        for rate in self.recipe.learning_rates:
            self._checkpoint(problem, "inner", number, rate).remove()

    def _choose(self, problem: Problem, number: int, progress: Progress) -> Settings:
        """Choose rate and number of epochs on an inner split; 0 epochs keep the frozen head."""
        splits, rates = problem.splits, self.recipe.learning_rates
        repeat, fold = splits.units[number]
        inner = (fold + 1) % splits.folds
        assignment = splits.assignment[repeat]
        watch = np.flatnonzero(assignment == inner)
        train = np.flatnonzero((assignment != inner) & (assignment != fold))
        fitted = self.fit_head(problem, train, self.frozen.choices[number])
        best: tuple[float, Settings] | None = None
        for place, rate in enumerate(rates):
            settings = {"learning_rate": rate, "epochs": self.recipe.epochs}
            checkpoint = self._checkpoint(problem, "inner", number, rate)
            history = self._history(
                *(self._trainer(fitted), problem, train, fitted, settings),
                seed=(problem.seed, number + 1),
                checkpoint=checkpoint,
                progress=progress.part(place, len(rates)),
                watch=watch,
            )
            epochs = int(np.argmin(history.watched))
            candidate = (history.watched[epochs], {"learning_rate": rate, "epochs": epochs})
            best = candidate if best is None or candidate[0] < best[0] else best
        assert best is not None
        return best[1]

    def _train(
        self,
        trainer: Trainer,
        problem: Problem,
        train: Ints,
        fitted: FittedHead,
        settings: Settings,
        seed: tuple[int, ...],
        checkpoint: Checkpoint,
        progress: Progress = SILENT,
    ) -> bool:
        """Train, and tell whether that diverged."""
        history = self._history(
            *(trainer, problem, train, fitted, settings),
            seed=seed,
            checkpoint=checkpoint,
            progress=progress,
        )
        return bool(history.diverged)

    def _history(
        self,
        trainer: Trainer,
        problem: Problem,
        train: Ints,
        fitted: FittedHead,
        settings: Settings,
        *,
        seed: tuple[int, ...],
        checkpoint: Checkpoint,
        progress: Progress,
        watch: Ints | None = None,
    ) -> Any:
        task = self._task(problem, train, fitted, settings, seed)
        if watch is not None:
            task = replace(task, watch=watch)
        return trainer.train(task, progress, checkpoint)

    def _task(
        self,
        problem: Problem,
        train: Ints,
        fitted: FittedHead,
        settings: Settings,
        seed: tuple[int, ...],
    ) -> Task:
        rate, epochs = settings["learning_rate"], settings["epochs"]
        return Task(self.inputs, problem.targets, train, fitted.weights, rate, epochs, seed)

    def _trainer(self, fitted: FittedHead) -> Trainer:
        key = (fitted.shape, fitted.scale)
        if key not in self._trainers:
            self._trainers.clear()  # its weights and compiled steps take memory
            self._trainers[key] = self.make(*key)
        return self._trainers[key]

    def _checkpoint(self, problem: Problem, *what: Any) -> Checkpoint:
        targets, splits = problem.targets, problem.splits
        weights = None if targets.loss_weights is None else targets.loss_weights.tolist()
        depends = [self.identity, self.source, targets.values.tolist(), weights, problem.seed]
        depends += [] if targets.kind == CLASS else [targets.kind]
        key = digests.of_data([depends, splits.assignment.tolist(), *what])
        return Checkpoint(self.folder / f"{key}.npz")

    def _final(self, choices: Sequence[Settings]) -> Settings:
        """Settings for all images: the rate that most folds chose, and their median of epochs."""
        rates = [choice["learning_rate"] for choice in choices]
        rate = max(self.recipe.learning_rates, key=rates.count)
        epochs = [choice["epochs"] for choice in choices if choice["learning_rate"] == rate]
        return {
            **self.frozen.final,
            "learning_rate": rate,
            "epochs": round(float(np.median(epochs))),
        }
