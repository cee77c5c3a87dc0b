"""Cross-validation of heads that are linear after the pooling, with the exact solver.

A shape parameter of the pooling (gem's exponent) is chosen for each outer fold by ridge regression
on the same inner folds, which costs next to nothing; then the penalty is chosen by log-loss (see
:mod:`headfit.study.protocol.penalties`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from headfit.fitting.exact import ridge
from headfit.fitting.exact.coordinates import Coordinates
from headfit.fitting.exact.logistic import EXACT, EXACT_STEPS, FLOAT32_EXACT, Path, minimise, origin
from headfit.fitting.fitted import FittedHead
from headfit.fitting.pooled import PooledFeatures, keys_of
from headfit.fitting.softmax import Rows, softmax
from headfit.fitting.threads import in_threads
from headfit.heads.chain import Head
from headfit.progress import SILENT, Progress
from headfit.study.protocol.penalties import choose
from headfit.study.protocol.problem import Outcome, Problem
from headfit.study.protocol.splits import inner_pairs

Shape = float | None
# images that a shape is chosen on; more would hardly choose another
SCREENED = 2000
# up to so many numbers the final fit is in float64
FLOAT64_SIZE = 16_000_000
# of models that are written as weights of the features together
MODEL_BYTES = 128 * 1024**2


def cross_validate(
    head: Head,
    pooled: PooledFeatures,
    problem: Problem,
    progress: Progress = SILENT,
) -> Outcome:
    """See :func:`headfit.study.protocol.crossval.cross_validate`."""
    units = [(r, f) for r in range(problem.splits.repeats) for f in range(problem.splits.folds)]
    shapes = best_shapes(head, pooled, problem)
    probabilities = np.empty((problem.splits.repeats, len(problem.labels), problem.classes))
    train_scores = np.empty(len(units))
    settings: list[dict[str, Any]] = [{}] * len(units)
    losses: dict[Shape, np.ndarray] = {}
    warnings: list[str] = []
    stopped = 0
    kinds = list(dict.fromkeys(shapes))
    for number, shape in enumerate(kinds):
        coordinates = pooled.coordinates(head.pooling, shape)
        mine = [u for u, found in enumerate(shapes) if found == shape]
        choices = choose(
            coordinates,
            problem,
            [units[u] for u in mine],
            progress.part(number, len(kinds)),
        )
        for place, u in enumerate(mine):
            settings[u] = _settings(shape, problem.penalties[choices.chosen[place]])
            train_scores[u] = choices.train[place]
            repeat, fold = units[u]
            held = problem.splits.assignment[repeat] == fold
            logits = choices.logits[place][:, held].T
            probabilities[repeat, held] = softmax(logits.astype(np.float64))
        losses[shape] = choices.losses
        stopped += choices.stopped
        warnings += _approximate(head, coordinates, len(problem.labels))
    best = _final(shapes, losses, problem)
    warnings += [*_edge_warnings(head, best["penalty"], problem), *_stop_warnings(head, stopped)]
    return Outcome(probabilities, train_scores, settings, best, list(dict.fromkeys(warnings)))


def best_shapes(head: Head, pooled: PooledFeatures, problem: Problem) -> list[Shape]:
    """Choose the pooling's shape for each repeat and outer fold on its training part.

    By the squared error of ridge regression on the inner folds, at the best of a few penalties, on
    2,000 of the images if there are more.
    """
    shapes = [shape for _, shape in keys_of([head.pooling])]
    folds, repeats = problem.splits.folds, problem.splits.repeats
    if len(shapes) == 1 or folds < 3:  # of two folds nothing would be left to train on
        return [shapes[len(shapes) // 2]] * (repeats * folds)
    n = len(problem.labels)
    some = np.sort(np.random.default_rng(problem.seed).permutation(n)[:SCREENED])
    grams = pooled.grams(head.pooling, shapes, some)
    tries = [(s, penalty) for s in range(len(shapes)) for penalty in ridge.PENALTIES]
    errors = np.empty((len(tries), repeats * folds))

    def work(numbers: np.ndarray) -> None:
        for number in numbers:
            s, penalty = tries[number]
            screen = ridge.RidgeScreen(grams[s], problem.labels[some], problem.classes, penalty)
            errors[number] = np.concatenate(
                [
                    ridge.inner_errors(screen, assignment[some], inner_pairs(folds), folds)
                    for assignment in problem.splits.assignment
                ]
            )

    in_threads(work, len(tries), 1)
    least = errors.reshape(len(shapes), -1, repeats * folds).min(axis=1)
    return [shapes[best] for best in least.argmin(axis=0)]


def refit(
    head: Head, pooled: PooledFeatures, problem: Problem, settings: dict[str, Any]
) -> FittedHead:
    """Fit the head on all images with these settings, to full precision.

    That is 1e-5 in float64, or 3e-4 in float32 where coordinates in float64 would not fit (above
    some 4,000 images for flatten).
    """
    coordinates = pooled.coordinates(head.pooling, settings["shape"])
    rows = Rows.of(coordinates.z, problem.labels, problem.classes)
    everything, one = np.ones((1, len(problem.labels)), bool), np.zeros(1, int)
    path = Path(rows, everything)
    for penalty in problem.penalties:
        point = path.go(penalty, one)
        if penalty <= settings["penalty"]:
            break
    last, tolerance = np.array([settings["penalty"]]), FLOAT32_EXACT
    if coordinates.z.size <= FLOAT64_SIZE:
        rows = Rows.of(coordinates.z.astype(np.float64), problem.labels, problem.classes)
        point, tolerance = point.wide(), EXACT
    point = minimise(rows, everything, last, [point], tolerance, EXACT_STEPS)
    weights = point.weights[0]
    kernel, bias = coordinates.to_features(weights[:, :-1].T, weights[:, -1])
    found = kernel.astype(np.float32), bias.astype(np.float32)
    return FittedHead(head, settings["shape"], found)


def fold_models(
    head: Head, pooled: PooledFeatures, problem: Problem, choices: list[dict[str, Any]]
) -> tuple[np.ndarray, np.ndarray]:
    """Write the models of the first repeat's folds as weights of the features themselves.

    Args:
        head: one without a shape parameter.
        pooled: features of the n images.
        problem: labels and folds.
        choices: the settings of each of these folds.

    Returns:
        Kernels float32 (folds, d, K) and biases float32 (folds, K).
    """
    coordinates = pooled.coordinates(head.pooling, None)
    rows = Rows.of(coordinates.z, problem.labels, problem.classes)
    folds = problem.splits.folds
    masks = np.array([problem.splits.assignment[0] != fold for fold in range(folds)])
    wanted = np.array([choice["penalty"] for choice in choices[:folds]])
    path, start = Path(rows, masks), origin(rows, folds)
    for penalty in problem.penalties:
        going = np.flatnonzero(wanted <= penalty)
        if not len(going):
            break
        start.put(going, path.go(penalty, going))
    weights = minimise(rows, masks, wanted, [start]).weights
    size = weights.shape[1] * len(coordinates.mean) * weights.itemsize
    parts = np.array_split(np.arange(folds), max(1, min(folds, folds * size // MODEL_BYTES)))
    kernels, biases = [], []
    for part in parts:
        joined = weights[part].reshape(-1, weights.shape[2])
        kernel, bias = coordinates.to_features(joined[:, :-1].T, joined[:, -1])
        kernels.append(kernel.astype(np.float32).reshape(len(kernel), len(part), -1))
        biases.append(bias.astype(np.float32).reshape(len(part), -1))
    return np.concatenate(kernels, axis=1).transpose(1, 0, 2), np.concatenate(biases)


def _final(
    shapes: list[Shape], losses: dict[Shape, np.ndarray], problem: Problem
) -> dict[str, Any]:
    """Settings for all images: the shape that most folds chose, and over those folds the penalty.

    Where a fold's path had stopped its last loss goes on: it would only have risen.
    """
    shape = max(losses, key=shapes.count)
    found = losses[shape]
    if np.isnan(found).all():
        return _settings(shape, problem.penalties[len(problem.penalties) // 2])
    for level in range(1, found.shape[1]):
        gone = np.isnan(found[:, level])
        found[gone, level] = found[gone, level - 1]
    return _settings(shape, problem.penalties[int(found.sum(axis=0).argmin())])


def _approximate(head: Head, coordinates: Coordinates, images: int) -> list[str]:
    if coordinates.kept == 1.0:
        return []
    return [
        f"{head.name}: for {images:,} images its features are approximated by those of "
        f"{coordinates.z.shape[1]:,} of them, which keeps {100 * coordinates.kept:.1f} % of their "
        f"variance; its figures are approximate."
    ]


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
