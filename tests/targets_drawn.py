"""Small problems with several labels and with numbers, drawn at random."""

import numpy as np

from headfit.fitting.problem import Problem
from headfit.images.targets import Targets
from headfit.study.protocol.splits import make_splits

N, SHAPE = 60, (3, 3, 5)


def maps_of(seed=0, images=N):
    return np.random.default_rng(seed).normal(size=(images, *SHAPE)).astype(np.float32)


def labels_of(maps):
    scores = maps.mean(axis=(1, 2)) @ np.random.default_rng(1).normal(size=(SHAPE[2], 4)) * 3
    noisy = scores + np.random.default_rng(2).normal(size=scores.shape) > 0.3
    return Targets(("a", "b", "c", "d"), noisy.astype(int), "labels")


def numbers_of(maps, weights=None):
    where = maps[:, 0, 0, :2] * 30 + 1000
    noisy = where + np.random.default_rng(2).normal(size=where.shape) * [5, 50]
    return Targets.of_numbers(("x", "y"), noisy, weights)


def problem_of(targets, folds=4, repeats=2, **more):
    splits = make_splits(
        targets.strata, folds=folds, repeats=repeats, seed=0, required=targets.kind == "labels"
    )
    return Problem(targets, splits, **more)
