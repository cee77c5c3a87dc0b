"""Cross-validation of heads that are linear after the pooling, with the exact solver.

The penalty of outer fold i is chosen by an inner cross-validation whose folds are the other outer
folds: the model that leaves out folds i and j serves as inner model for both, so k(k−1)/2 inner
fits do for all of them. A shape parameter of the pooling (gem's exponent) is chosen with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from headfit.fitting import logistic
from headfit.fitting.coordinates import Coordinates
from headfit.fitting.fitted import FittedHead
from headfit.fitting.logistic import softmax
from headfit.fitting.pooled import PooledFeatures, keys_of
from headfit.heads.chain import Head
from headfit.study.metrics import balanced_accuracy
from headfit.study.problem import Outcome, Problem


@dataclass(frozen=True)
class PathScores:
    """All penalties of one repeat and one pooling shape.

    Attributes:
        inner: float64 (folds, penalties), inner log-loss for each outer fold.
        logits: float32 (folds, penalties, n, K), of the model that leaves out that fold.
    """

    inner: np.ndarray
    logits: np.ndarray


def cross_validate(
    head: Head,
    pooled: PooledFeatures,
    problem: Problem,
    progress: Callable[[float], None] = lambda fraction: None,
) -> Outcome:
    """See :func:`headfit.study.crossval.cross_validate`."""
    shapes = [shape for _, shape in keys_of([head.pooling])]
    repeats = problem.splits.repeats
    probabilities: list[np.ndarray] = []
    train_scores: list[float] = []
    choices: list[dict[str, Any]] = []
    final = np.zeros((len(shapes), len(problem.penalties)))
    for repeat in range(repeats):
        assignment = problem.splits.assignment[repeat]
        paths = []
        for number, shape in enumerate(shapes):
            done = repeat * len(shapes) + number
            paths.append(_path(pooled.coordinates(head.pooling, shape), problem, assignment))
            progress((done + 1) / (repeats * len(shapes)))
        chosen = _choose(np.stack([path.inner for path in paths]))
        final += np.stack([_outer_losses(path, problem, assignment) for path in paths])
        found, scores = _collect(paths, chosen, problem, assignment)
        probabilities.append(found)
        train_scores.extend(scores)
        choices.extend(_settings(shapes[s], problem.penalties[p]) for s, p in chosen)
    s, p = np.unravel_index(int(final.argmin()), final.shape)
    best = _settings(shapes[s], problem.penalties[p])
    return Outcome(
        np.stack(probabilities),
        np.array(train_scores),
        choices,
        best,
        _edge_warnings(head, best["penalty"], problem),
    )


def inner_best_shapes(
    head: Head, pooled: PooledFeatures, problem: Problem, assignment: np.ndarray
) -> list[float | None]:
    """Choose the pooling's shape for each outer fold by the linear head on its training part."""
    shapes = [shape for _, shape in keys_of([head.pooling])]
    if len(shapes) == 1:
        return shapes * problem.splits.folds
    paths = [_path(pooled.coordinates(head.pooling, s), problem, assignment) for s in shapes]
    return [shapes[s] for s, _ in _choose(np.stack([path.inner for path in paths]))]


def refit(
    head: Head, pooled: PooledFeatures, problem: Problem, settings: dict[str, Any]
) -> FittedHead:
    """Fit the head on all images with these settings, to full precision."""
    coordinates = pooled.coordinates(head.pooling, settings["shape"])
    path = [penalty for penalty in problem.penalties if penalty >= settings["penalty"]]
    everything = np.ones((1, len(problem.labels)), bool)
    *_, last = logistic.solve(
        coordinates.z,
        problem.labels,
        problem.classes,
        everything,
        path,
        tolerance=logistic.EXACT,
    )
    kernel, bias = coordinates.to_features(last.kernel[:, 0], last.bias[0])
    weights = kernel.astype(np.float32), bias.astype(np.float32)
    return FittedHead(head, settings["shape"], weights)


def _path(coordinates: Coordinates, problem: Problem, assignment: np.ndarray) -> PathScores:
    folds, labels = problem.splits.folds, problem.labels
    pairs = [(i, i) for i in range(folds)] + list(combinations(range(folds), 2))
    masks = np.array([(assignment != i) & (assignment != j) for i, j in pairs])
    sizes = np.bincount(assignment, minlength=folds)
    inner = np.zeros((folds, len(problem.penalties)))
    shape = (folds, len(problem.penalties), len(labels), problem.classes)
    outer = np.empty(shape, np.float32)
    z = coordinates.z.astype(np.float32)
    for solution in logistic.solve(z, labels, problem.classes, masks, problem.penalties):
        for column, (i, j) in enumerate(pairs[solution.problems]):
            logits = solution.logits[:, column]
            if i == j:
                outer[i, solution.penalty] = logits
                continue
            losses = _losses(logits, labels)
            inner[i, solution.penalty] += losses[assignment == j].sum() / (len(labels) - sizes[i])
            inner[j, solution.penalty] += losses[assignment == i].sum() / (len(labels) - sizes[j])
    return PathScores(inner, outer)


def _choose(inner: np.ndarray) -> list[tuple[int, int]]:
    """For each outer fold the (shape, penalty) of least inner log-loss.

    Args:
        inner: float64 (shapes, folds, penalties). With two folds there is no inner split: all
            zero, and the middle penalty of the first shape is taken.
    """
    _, folds, penalties = inner.shape
    if not inner.any():
        return [(0, penalties // 2)] * folds
    flat = inner.transpose(1, 0, 2).reshape(folds, -1).argmin(axis=1)
    return [(int(best) // penalties, int(best) % penalties) for best in flat]


def _outer_losses(path: PathScores, problem: Problem, assignment: np.ndarray) -> np.ndarray:
    """Out-of-fold log-loss at each penalty, for the model of all images."""
    total = np.zeros(len(problem.penalties))
    for fold, logits in enumerate(path.logits):
        held = assignment == fold
        for number in range(len(total)):
            total[number] += _losses(logits[number, held], problem.labels[held]).sum()
    return total


def _collect(
    paths: list[PathScores],
    chosen: list[tuple[int, int]],
    problem: Problem,
    assignment: np.ndarray,
) -> tuple[np.ndarray, list[float]]:
    probabilities = np.empty((len(problem.labels), problem.classes))
    scores = []
    for fold, (shape, penalty) in enumerate(chosen):
        held = assignment == fold
        found = softmax(paths[shape].logits[fold, penalty].astype(np.float64))
        probabilities[held] = found[held]
        scores.append(balanced_accuracy(found[~held], problem.labels[~held]))
    return probabilities, scores


def _losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    peak = logits.max(axis=1)
    total = np.log(np.exp(logits - peak[:, None]).sum(axis=1)) + peak
    result: np.ndarray = (total - logits[np.arange(len(labels)), labels]).astype(np.float64)
    return result


def _settings(shape: float | None, penalty: float) -> dict[str, Any]:
    return {"shape": shape, "penalty": penalty}


def _edge_warnings(head: Head, penalty: float, problem: Problem) -> list[str]:
    if penalty not in (problem.penalties[0], problem.penalties[-1]):
        return []
    return [
        f"{head.name}: the best penalty, {penalty:g}, lies at the edge of the grid; a value "
        f"beyond it may be better."
    ]
