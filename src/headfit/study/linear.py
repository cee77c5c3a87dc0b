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
        logits: float32 (penalties, K, n), each image by the model that leaves out its fold.
        train: float64 (folds, penalties), balanced accuracy on the training part.
        stopped: how many fits ran out of steps.
    """

    inner: np.ndarray
    logits: np.ndarray
    train: np.ndarray
    stopped: int


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
    stopped = 0
    for repeat in range(repeats):
        assignment = problem.splits.assignment[repeat]
        paths = []
        for number, shape in enumerate(shapes):
            done = repeat * len(shapes) + number
            paths.append(_path(pooled.coordinates(head.pooling, shape), problem, assignment))
            progress((done + 1) / (repeats * len(shapes)))
        chosen = _choose(np.stack([path.inner for path in paths]))
        final += [_losses(path.logits, problem.labels).sum(axis=1) for path in paths]
        stopped += sum(path.stopped for path in paths)
        probabilities.append(_out_of_fold(paths, chosen, assignment))
        train_scores.extend(paths[s].train[fold, p] for fold, (s, p) in enumerate(chosen))
        choices.extend(_settings(shapes[s], problem.penalties[p]) for s, p in chosen)
    s, p = np.unravel_index(int(final.argmin()), final.shape)
    best = _settings(shapes[s], problem.penalties[p])
    return Outcome(
        np.stack(probabilities),
        np.array(train_scores),
        choices,
        best,
        [*_edge_warnings(head, best["penalty"], problem), *_stop_warnings(head, stopped)],
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
        before_last=logistic.TOLERANCE,
        max_steps=logistic.EXACT_STEPS,
    )
    kernel, bias = coordinates.to_features(last.kernel[0].T, last.bias[0])
    weights = kernel.astype(np.float32), bias.astype(np.float32)
    return FittedHead(head, settings["shape"], weights)


def _path(coordinates: Coordinates, problem: Problem, assignment: np.ndarray) -> PathScores:
    folds, labels, n = problem.splits.folds, problem.labels, len(problem.labels)
    pairs = [(i, i) for i in range(folds)]
    if folds > 2:  # of two, nothing would be left to train on
        pairs += combinations(range(folds), 2)
    masks = np.array([(assignment != i) & (assignment != j) for i, j in pairs])
    held = assignment == np.arange(folds)[:, None]
    inner, train = np.zeros((2, folds, len(problem.penalties)))
    outer = np.empty((len(problem.penalties), problem.classes, n), np.float32)
    stopped = 0
    z = coordinates.z.astype(np.float32)
    for solution in logistic.solve(z, labels, problem.classes, masks, problem.penalties):
        stopped += int((~solution.converged).sum())
        at = solution.penalty
        for logits, (i, j) in zip(solution.logits, pairs[solution.problems], strict=True):
            if i == j:
                outer[at][:, held[i]] = logits[:, held[i]]
                train[i, at] = balanced_accuracy(logits[:, ~held[i]].T, labels[~held[i]])
                continue
            losses = _losses(logits, labels)
            inner[i, at] += losses[held[j]].sum() / (n - held[i].sum())
            inner[j, at] += losses[held[i]].sum() / (n - held[j].sum())
    return PathScores(inner, outer, train, stopped)


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


def _out_of_fold(
    paths: list[PathScores], chosen: list[tuple[int, int]], assignment: np.ndarray
) -> np.ndarray:
    """Probabilities (n, K) of each image at the settings that its fold chose."""
    logits = np.stack([path.logits for path in paths])
    shapes, penalties = np.array(chosen)[assignment].T
    return softmax(logits[shapes, penalties, :, np.arange(len(assignment))].astype(np.float64))


def _losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Log-losses, float64 (…, n), of logits (…, K, n)."""
    peak = logits.max(axis=-2)
    total = np.log(np.exp(logits - peak[..., None, :]).sum(axis=-2)) + peak
    given = logits[..., labels, np.arange(len(labels))]
    result: np.ndarray = (total - given).astype(np.float64)
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


def _stop_warnings(head: Head, stopped: int) -> list[str]:
    if not stopped:
        return []
    return [f"{head.name}: {stopped} fits ran out of steps; their figures are approximate."]
