"""What a linear head predicts at every penalty, without a choice between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headfit.fitting.exact import regression
from headfit.fitting.exact.coordinates import Coordinates
from headfit.fitting.exact.logistic import LABEL_TOLERANCE, TOLERANCE, Path
from headfit.fitting.exact.penalties import rows_of
from headfit.fitting.exact.ridge import Shape
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import Problem
from headfit.heads.pooling import Pooling
from headfit.progress import SILENT, Progress


def predictions_at_each(
    pooling: Pooling,
    pooled: PooledFeatures,
    problem: Problem,
    shapes: Sequence[Shape],
    progress: Progress = SILENT,
) -> np.ndarray:
    """Predict each image, held out, by a model of every penalty of the problem.

    Args:
        pooling: of a linear head.
        pooled: features of the n images.
        problem: targets, folds and penalties.
        shapes: the shape of the pooling in each repeat and fold.
        progress: reports the fraction done.

    Returns:
        float64 (penalties, repeats, n, K).
    """
    splits, units = problem.splits, problem.splits.units
    n, outputs, levels = len(problem.targets), problem.targets.count, len(problem.penalties)
    predictions = np.empty((levels, splits.repeats, n, outputs))
    distinct = list(dict.fromkeys(shapes))
    for number, shape in enumerate(distinct):
        coordinates = pooled.coordinates(pooling, shape)
        these = [unit for unit, own in zip(units, shapes, strict=True) if own == shape]
        masks = np.array([~splits.held_out(*unit) for unit in these])
        part = progress.part(number, len(distinct))
        for level, scores in enumerate(_scores(coordinates, problem, masks)):
            for place, (repeat, fold) in enumerate(these):
                held = splits.held_out(repeat, fold)
                linked = problem.kind.link(scores[place][held].astype(np.float64))
                predictions[level, repeat, held] = linked
            part((level + 1) / levels)
    return predictions


def _scores(coordinates: Coordinates, problem: Problem, masks: np.ndarray) -> list[np.ndarray]:
    """Give the scores of all images at each penalty: (models, n, K)."""
    z, models = coordinates.z, len(masks)
    if problem.kind.rows is None:
        return [
            z @ weights[:, :, :-1].transpose(0, 2, 1) + weights[:, None, :, -1]
            for weights in (
                regression.solve(z, problem, masks, np.full(models, penalty))
                for penalty in problem.penalties
            )
        ]
    rows = rows_of(problem, z)
    path, every = Path(rows, masks), np.arange(models)
    tolerance = LABEL_TOLERANCE if rows.separate else TOLERANCE
    points = [path.go(penalty, every, tolerance) for penalty in problem.penalties]
    return [point.logits.transpose(0, 2, 1) for point in points]
