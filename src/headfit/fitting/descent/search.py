"""Settings of heads that are trained by gradient descent, and what they score.

In each outer training fold one of the other folds is the inner split: it chooses learning rate,
weight decay and number of epochs, with which the head is then trained on the whole outer training
fold. All folds and trials are trained together (see :mod:`headfit.fitting.descent.training`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from headfit.fitting.descent import training as descent
from headfit.fitting.descent.budget import Schedule, Trial, trials_for
from headfit.fitting.descent.scaling import Inputs, inputs_of
from headfit.fitting.exact.ridge import best_shapes
from headfit.fitting.fitted import FittedHead
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import CrossValidation, Problem, Settings
from headfit.heads.chain import Head
from headfit.progress import SILENT, Progress


def cross_validate(
    head: Head, pooled: PooledFeatures, problem: Problem, progress: Progress = SILENT
) -> CrossValidation:
    """See :meth:`headfit.fitting.methods.Method.cross_validate`."""
    count, folds = problem.splits.repeats, problem.splits.folds
    repeats = [
        _Repeat(head, pooled, problem, repeat, progress.part(repeat, count))
        for repeat in range(count)
    ]
    shapes = best_shapes(head.pooling, pooled, problem)
    for number, repeat in enumerate(repeats):
        repeat.run(shapes[number * folds : (number + 1) * folds])
    choices = [choice for repeat in repeats for choice in repeat.choices]
    return CrossValidation(
        head,
        np.stack([repeat.probabilities for repeat in repeats]),
        np.array([score for repeat in repeats for score in repeat.train_scores]),
        choices,
        _final(repeats, choices),
        [],
    )


def refit(head: Head, pooled: PooledFeatures, problem: Problem, settings: Settings) -> FittedHead:
    """See :meth:`headfit.fitting.methods.Method.refit`."""
    inputs = inputs_of(head, pooled, settings["shape"])
    networks = descent.train(
        inputs.x,
        problem.targets,
        head.body,
        descent.Attempts(
            np.ones((1, len(problem.targets)), bool),
            [settings["learning_rate"]],
            [settings["weight_decay"]],
            stop_epochs=[settings["epochs"]],
        ),
        schedule=Schedule(seed=problem.seed),
        pooling=head.trained,
        loss=problem.loss,
    )
    raw = inputs.back([weight[0] for weight in networks.weights])
    weights = tuple(np.asarray(weight, np.float32) for weight in raw)
    return FittedHead(head, settings["shape"], weights, inputs.scale, problem.targets.kind)


class _Repeat:
    """One repeat of the cross-validation."""

    def __init__(
        self, head: Head, pooled: PooledFeatures, problem: Problem, repeat: int, progress: Progress
    ) -> None:
        self.head, self.pooled, self.problem = head, pooled, problem
        self.assignment = problem.splits.assignment[repeat]
        self.folds = problem.splits.folds
        self.progress = progress
        self.schedule = Schedule(seed=problem.seed)
        self.trials = trials_for(self.head.body, quick=problem.quick, hidden=self.head.hidden)
        self.probabilities = np.empty((len(problem.targets), problem.targets.count))
        self.train_scores = [0.0] * self.folds
        self.choices: list[Settings] = [{}] * self.folds
        # inner loss of each (trial, epoch), summed over the folds
        self.losses = np.zeros((len(self.trials), self.schedule.epochs))

    def run(self, shapes: list[float | None]) -> None:
        """Choose trial and epochs of every fold, given its shape of the pooling; predict it."""
        distinct = list(dict.fromkeys(shapes))
        for number, shape in enumerate(distinct):
            folds = [fold for fold in range(self.folds) if shapes[fold] == shape]
            inputs = inputs_of(self.head, self.pooled, shape)
            progress = self.progress.part(number, len(distinct))
            chosen = self._search(inputs, folds, progress.part(0, 2))
            self._score(inputs, folds, chosen, progress.part(1, 2))
            for fold, (trial, epochs) in zip(folds, chosen, strict=True):
                self.choices[fold] = _settings(shape, trial, epochs)

    def _search(
        self, inputs: Inputs, folds: list[int], progress: Progress
    ) -> list[tuple[Trial, int]]:
        """Try every trial on every fold's inner split; choose trial and number of epochs."""
        pairs = [(fold, trial) for fold in folds for trial in self.trials]
        held = np.array([self.assignment == fold for fold, _ in pairs])
        inner = np.array([self.assignment == self._inner(fold) for fold, _ in pairs])
        watch = inner & self.problem.plain
        attempts = _attempts(~held & ~inner, [trial for _, trial in pairs], watch=watch)
        networks = self._train(inputs, attempts, progress)
        # nan where a network diverged: never the best
        losses = np.nan_to_num(networks.watch_loss, nan=np.inf).T
        losses = losses.reshape(len(folds), len(self.trials), -1)
        self.losses += losses.sum(axis=0)
        best = losses.reshape(len(folds), -1).argmin(axis=1)
        epochs = losses.shape[2]
        return [(self.trials[int(b) // epochs], int(b) % epochs + 1) for b in best]

    def _score(
        self, inputs: Inputs, folds: list[int], chosen: list[tuple[Trial, int]], progress: Progress
    ) -> None:
        """Train on each whole outer training fold and predict the fold left out."""
        held = np.array([self.assignment == fold for fold in folds])
        stops = [epochs for _, epochs in chosen]
        attempts = _attempts(~held, [trial for trial, _ in chosen], stop_epochs=stops)
        networks = self._train(inputs, attempts, progress)
        scores = descent.scores(networks.weights, self.head.body, inputs.x, self.head.trained)
        predictions = self.problem.kind.link(scores)
        for row, fold in enumerate(folds):
            self.probabilities[held[row]] = predictions[row, held[row]]
            self.train_scores[fold] = self.problem.score(scores[row], ~held[row])

    def _train(
        self, inputs: Inputs, attempts: descent.Attempts, progress: Progress
    ) -> descent.Networks:
        return descent.train(
            inputs.x,
            self.problem.targets,
            self.head.body,
            attempts,
            schedule=self.schedule,
            pooling=self.head.trained,
            loss=self.problem.loss,
            progress=progress,
        )

    def _inner(self, fold: int) -> int:
        return (fold + 1) % self.folds


def _attempts(train: np.ndarray, trials: list[Trial], **more: Any) -> descent.Attempts:
    rates, decays = zip(*trials, strict=True)
    return descent.Attempts(train, rates, decays, **more)


def _final(repeats: list[_Repeat], choices: list[Settings]) -> Settings:
    """Settings for all images: least inner loss over all folds and repeats."""
    losses = sum(repeat.losses for repeat in repeats)
    trial, epoch = np.unravel_index(int(np.argmin(losses)), np.shape(losses))
    shapes = [choice["shape"] for choice in choices]
    return _settings(max(set(shapes), key=shapes.count), repeats[0].trials[trial], int(epoch) + 1)


def _settings(shape: float | None, trial: Trial, epochs: int) -> Settings:
    return {
        "shape": shape,
        "learning_rate": trial.learning_rate,
        "weight_decay": trial.weight_decay,
        "epochs": epochs,
    }
