"""What a head trained by gradient descent predicts after every epoch of every trial."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headfit.fitting.descent import training as descent
from headfit.fitting.descent.budget import Schedule, trials_for
from headfit.fitting.descent.scaling import inputs_of
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import Problem
from headfit.heads.chain import Head
from headfit.progress import SILENT, Progress


def predictions_at_each(
    head: Head,
    pooled: PooledFeatures,
    problem: Problem,
    shapes: Sequence[float | None],
    progress: Progress = SILENT,
) -> np.ndarray:
    """Predict each image, held out, after every epoch of every trial, without a choice.

    Args:
        head: one that is not linear.
        pooled: features of the n images.
        problem: targets and folds.
        shapes: the shape of the pooling in each repeat and fold.
        progress: reports the fraction done.

    Returns:
        float32 (trials · epochs, repeats, n, K). Predictions of a network that diverged are nan.
    """
    splits, units = problem.splits, problem.splits.units
    schedule = Schedule(seed=problem.seed)
    trials = trials_for(head.body, quick=problem.quick, hidden=head.hidden)
    n, outputs = len(problem.targets), problem.targets.count
    shape_of = (len(trials), schedule.epochs, splits.repeats, n, outputs)
    predictions = np.empty(shape_of, np.float32)
    distinct = list(dict.fromkeys(shapes))
    for number, shape in enumerate(distinct):
        inputs = inputs_of(head, pooled, shape)
        these = [unit for unit, own in zip(units, shapes, strict=True) if own == shape]
        pairs = [(unit, trial) for unit in these for trial in range(len(trials))]

        def follow(
            chunk: slice,
            epoch: int,
            weights: list[np.ndarray],
            pairs: list[tuple[tuple[int, int], int]] = pairs,
            x: np.ndarray = inputs.x,  # type: ignore[assignment]
        ) -> None:
            scores = descent.scores(weights, head.body, x, head.trained)
            for ((repeat, fold), trial), own in zip(pairs[chunk], scores, strict=True):
                held = splits.held_out(repeat, fold)
                predictions[trial, epoch, repeat, held] = problem.kind.link(own[held])

        descent.train(
            inputs.x,
            problem.targets,
            head.body,
            descent.Attempts(
                np.array([~splits.held_out(*unit) for unit, _ in pairs]),
                [trials[trial].learning_rate for _, trial in pairs],
                [trials[trial].weight_decay for _, trial in pairs],
            ),
            schedule=schedule,
            pooling=head.trained,
            loss=problem.loss,
            progress=progress.part(number, len(distinct)),
            follow=follow,
        )
    return predictions.reshape(-1, splits.repeats, n, outputs)
