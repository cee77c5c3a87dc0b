"""The shape parameter of a pooling (gem's exponent), chosen by ridge regression.

It costs next to nothing beside the fits themselves, which then have one shape for each fold.
"""

from __future__ import annotations

import numpy as np

from headfit.fitting.exact import ridge
from headfit.fitting.pooled import PooledFeatures, keys_of
from headfit.fitting.problem import Problem, inner_pairs
from headfit.fitting.threads import in_threads
from headfit.heads.pooling import Pooling

Shape = float | None
# images that a shape is chosen on; more would hardly choose another
SCREENED = 2000


def best_shapes(pooling: Pooling, pooled: PooledFeatures, problem: Problem) -> list[Shape]:
    """Choose the pooling's shape for each repeat and outer fold on its training part.

    By the squared error of ridge regression on the inner folds, at the best of a few penalties, on
    2,000 of the images if there are more.
    """
    shapes = [shape for _, shape in keys_of([pooling])]
    folds, repeats = problem.splits.folds, problem.splits.repeats
    if len(shapes) == 1 or folds < 3:  # of two folds nothing would be left to train on
        return [shapes[len(shapes) // 2]] * (repeats * folds)
    n = len(problem.targets)
    some = np.sort(np.random.default_rng(problem.seed).permutation(n)[:SCREENED])
    encoded = problem.kind.encode(problem.targets.subset(some))
    grams = pooled.grams(pooling, shapes, some)
    tries = [(s, penalty) for s in range(len(shapes)) for penalty in ridge.PENALTIES]
    errors = np.empty((len(tries), repeats * folds))

    def work(numbers: np.ndarray) -> None:
        for number in numbers:
            s, penalty = tries[number]
            screen = ridge.RidgeScreen(grams[s], encoded, penalty)
            errors[number] = np.concatenate(
                [
                    ridge.inner_errors(screen, assignment[some], inner_pairs(folds), folds)
                    for assignment in problem.splits.assignment
                ]
            )

    in_threads(work, len(tries), 1)
    least = errors.reshape(len(shapes), -1, repeats * folds).min(axis=1)
    return [shapes[best] for best in least.argmin(axis=0)]
