"""The method of heads that are linear after the pooling: an exact solver.

A shape parameter of the pooling (gem's exponent) is chosen for each outer fold by ridge regression
on the same inner folds (:mod:`headfit.fitting.exact.ridge`); then the penalty is chosen by
log-loss (:mod:`headfit.fitting.exact.penalties`), or for numbers by squared error
(:mod:`headfit.fitting.exact.regression`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.fitting.exact import penalties, regression
from headfit.fitting.exact.coordinates import Coordinates
from headfit.fitting.exact.logistic import (
    EXACT,
    EXACT_STEPS,
    FLOAT32_EXACT,
    LABEL_TOLERANCE,
    TOLERANCE,
    Path,
    minimise,
    origin,
)
from headfit.fitting.exact.nested import choose
from headfit.fitting.exact.ridge import Shape, best_shapes
from headfit.fitting.fitted import FittedHead
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import CrossValidation, Problem, Settings
from headfit.heads.chain import Head
from headfit.progress import SILENT, Progress

# up to so many numbers the final fit is in float64
FLOAT64_SIZE = 16_000_000
LITTLE = 0.01  # of a loss
# of models that are written as weights of the features together
MODEL_BYTES = 128 * 1024**2


@dataclass(frozen=True)
class Exact:
    """Fits a head that is linear after the pooling, to the minimum of its penalised loss.

    Attributes:
        head: a linear one.
        pooled: features of the n images.
    """

    head: Head
    pooled: PooledFeatures

    @property
    def identity(self) -> Any:
        """See :class:`headfit.fitting.methods.Method`."""
        return self.head.identity

    def cross_validate(self, problem: Problem, progress: Progress = SILENT) -> CrossValidation:
        """See :class:`headfit.fitting.methods.Method`."""
        head, splits, units = self.head, problem.splits, problem.splits.units
        shapes = best_shapes(head.pooling, self.pooled, problem)
        probabilities = np.empty((splits.repeats, len(problem.targets), problem.targets.count))
        train_scores = np.empty(len(units))
        settings: list[Settings] = [{}] * len(units)
        losses: dict[Shape, np.ndarray] = {}
        notes: list[Settings] = []
        unfinished = 0
        distinct = list(dict.fromkeys(shapes))
        for number, shape in enumerate(distinct):
            coordinates = self.pooled.coordinates(head.pooling, shape)
            numbers = [u for u, chosen in enumerate(shapes) if chosen == shape]
            part = progress.part(number, len(distinct))
            choices = choose(coordinates, problem, [units[u] for u in numbers], part)
            for place, u in enumerate(numbers):
                settings[u] = _settings(shape, problem.penalties[choices.chosen[place]])
                train_scores[u] = choices.train[place]
                held_out = splits.held_out(*units[u])
                scores = choices.scores[place][:, held_out].T
                probabilities[units[u][0], held_out] = problem.kind.link(scores.astype(np.float64))
            losses[shape] = choices.losses
            unfinished += choices.stopped
            notes += _projected(coordinates)
        final = _final(shapes, losses, problem)
        notes += _at_edge(final, losses[final["shape"]], problem)
        notes += [{"code": "unfinished", "fits": unfinished}] if unfinished else []
        notes = [note for number, note in enumerate(notes) if note not in notes[:number]]
        return CrossValidation(head, probabilities, train_scores, settings, final, notes)

    def refit(self, problem: Problem, settings: Settings) -> FittedHead:
        """Fit the head on all images, to full precision.

        That is 1e-5 in float64, or 3e-4 in float32 where coordinates in float64 would not fit
        (above some 4,000 images for flatten).
        """
        coordinates = self.pooled.coordinates(self.head.pooling, settings["shape"])
        everything, last = np.ones((1, len(problem.targets)), bool), np.array([settings["penalty"]])
        if problem.kind.rows is None:
            weights = regression.solve(coordinates.z, problem, everything, last)[0]
        else:
            weights = _minimum(coordinates.z, problem, everything, last)
        kernel, bias = coordinates.to_features(weights[:, :-1].T, weights[:, -1])
        arrays = kernel.astype(np.float32), bias.astype(np.float32)
        return FittedHead(self.head, settings["shape"], arrays, kind=problem.targets.kind)

    def fold_models(
        self, problem: Problem, choices: list[Settings]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Write the models of the first repeat's folds as weights of the features themselves.

        The pooling must have no shape parameter.

        Args:
            problem: labels and folds.
            choices: the settings of each of these folds.

        Returns:
            Kernels float32 (folds, d, K) and biases float32 (folds, K).
        """
        coordinates = self.pooled.coordinates(self.head.pooling, None)
        folds = problem.splits.folds
        masks = np.array([~problem.splits.held_out(0, fold) for fold in range(folds)])
        chosen = np.array([choice["penalty"] for choice in choices[:folds]])
        if problem.kind.rows is None:
            weights = regression.solve(coordinates.z, problem, masks, chosen)
        else:
            weights = _fold_minima(coordinates.z, problem, masks, chosen)
        size = weights.shape[1] * len(coordinates.mean) * weights.itemsize
        parts = np.array_split(np.arange(folds), max(1, min(folds, folds * size // MODEL_BYTES)))
        kernels, biases = [], []
        for part in parts:
            joined = weights[part].reshape(-1, weights.shape[2])
            kernel, bias = coordinates.to_features(joined[:, :-1].T, joined[:, -1])
            kernels.append(kernel.astype(np.float32).reshape(len(kernel), len(part), -1))
            biases.append(bias.astype(np.float32).reshape(len(part), -1))
        return np.concatenate(kernels, axis=1).transpose(1, 0, 2), np.concatenate(biases)


def _minimum(
    z: np.ndarray, problem: Problem, everything: np.ndarray, last: np.ndarray
) -> np.ndarray:
    """Follow the path to a penalty, and end there to full precision: (K, r + 1)."""
    path, one = Path(penalties.rows_of(problem, z), everything), np.zeros(1, int)
    for penalty in problem.penalties:
        point = path.go(penalty, one)
        if penalty <= last[0]:
            break
    tolerance = FLOAT32_EXACT
    if z.size <= FLOAT64_SIZE:
        z, point, tolerance = z.astype(np.float64), point.wide(), EXACT
    rows = penalties.rows_of(problem, z)
    weights: np.ndarray = minimise(rows, everything, last, [point], tolerance, EXACT_STEPS).weights[
        0
    ]
    return weights


def _fold_minima(
    z: np.ndarray, problem: Problem, masks: np.ndarray, chosen: np.ndarray
) -> np.ndarray:
    """Follow the path with each model to its own penalty: (b, K, r + 1)."""
    rows = penalties.rows_of(problem, z)
    path, start = Path(rows, masks), origin(rows, len(masks))
    for penalty in problem.penalties:
        going = np.flatnonzero(chosen <= penalty)
        if not len(going):
            break
        start.put(going, path.go(penalty, going))
    tolerance = LABEL_TOLERANCE if rows.separate else TOLERANCE
    weights: np.ndarray = minimise(rows, masks, chosen, [start], tolerance).weights
    return weights


def _final(shapes: list[Shape], losses: dict[Shape, np.ndarray], problem: Problem) -> Settings:
    """Settings for all images: the shape that most folds chose, and over those folds the penalty.

    Where a fold's path had stopped its last loss goes on: it would only have risen.
    """
    shape = max(losses, key=shapes.count)
    levels = losses[shape]
    if np.isnan(levels).all():
        return _settings(shape, problem.penalties[len(problem.penalties) // 2])
    for level in range(1, levels.shape[1]):
        gone = np.isnan(levels[:, level])
        levels[gone, level] = levels[gone, level - 1]
    return _settings(shape, problem.penalties[int(levels.sum(axis=0).argmin())])


def _settings(shape: Shape, penalty: float) -> Settings:
    return {"shape": shape, "penalty": penalty}


def _projected(coordinates: Coordinates) -> list[Settings]:
    """Note that features were projected on those of some images."""
    share, (images, rank) = coordinates.variance_share, coordinates.z.shape
    if share == 1.0:
        return []
    return [{"code": "projected", "images": images, "spanned_by": rank, "variance_share": share}]


def _at_edge(final: Settings, losses: np.ndarray, problem: Problem) -> list[Settings]:
    """Note that the best penalty is the first or the last one tried.

    Ridge regression has a limit without a penalty, which may be best: where the last step gains
    next to nothing, a further one would gain less.
    """
    grid, penalty = problem.penalties, final["penalty"]
    if penalty not in (grid[0], grid[-1]):
        return []
    if problem.kind.rows is None and penalty == grid[-1] and len(grid) > 1:
        before, last = losses.sum(axis=0)[-2:]
        if not last < (1 - LITTLE) * before:
            return []
    return [{"code": "edge", "penalty": penalty}]
