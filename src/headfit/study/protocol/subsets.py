"""Heads trained on growing subsets of the images, each within the next, for several seeds.

Each seed holds out one fold of the study, with its groups. The other images are ordered so that
every leading part has the classes in proportion, at least two images of each, and whole groups;
the subsets are leading parts of that order. All fits of a head are problems on the same rotated
coordinates and differ only in the rows that they train on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from headfit.fitting.exact.logistic import TOLERANCE, Path, Point
from headfit.fitting.problem import Problem
from headfit.fitting.softmax import Rows
from headfit.fitting.threads import one_thread
from headfit.progress import SILENT, Progress
from headfit.study.protocol.splits import make_splits

SEEDS, MOST_SEEDS = 10, 20
LEAST_IMAGES, LEAST_OF_CLASS = 20, 2
# the path starts at about this penalty: started at a small one it would end too early
START = 0.1
# parts up to this share of the largest are fitted without the rows that they never train on
SMALL_PART = 0.25
# of the points of problems on their path together
PATH_BYTES = 256 * 1024**2


@dataclass(frozen=True)
class Subsets:
    """What each seed holds out, and the order in which it trains on the rest.

    Attributes:
        held: bool (seeds, n).
        orders: of each seed the images that are not held out, int.
        sizes: int (j,), ascending; the largest is that of the smallest training part.
    """

    held: np.ndarray
    orders: list[np.ndarray]
    sizes: np.ndarray

    def masks(self, seed: int) -> np.ndarray:
        """Give the parts of a seed, bool (j, n)."""
        masks = np.zeros((len(self.sizes), self.held.shape[1]), bool)
        for mask, size in zip(masks, self.sizes, strict=True):
            mask[self.orders[seed][:size]] = True
        return masks


def make_subsets(problem: Problem, groups: np.ndarray | None, *, halve: bool = False) -> Subsets:
    """Deal the images of a study.

    Args:
        problem: labels and folds. Ten seeds need ten folds: if the study has fewer in all its
            repeats, further repeats are dealt as it would deal them.
        groups: int (n,), those that the folds keep together.
        halve: each size is half of the next instead of 0.71 of it.
    """
    held = _held_out(problem, groups)
    state = problem.splits.seed
    orders = [
        stratified_order(
            problem.targets.strata,
            np.flatnonzero(~out),
            groups,
            np.random.default_rng([state, 9, seed]),
        )
        for seed, out in enumerate(held)
    ]
    largest = min(len(order) for order in orders)
    least = max(LEAST_IMAGES, LEAST_OF_CLASS * problem.targets.count)
    ratio = 2.0 if halve else math.sqrt(2.0)
    steps = max(0, int(math.log(largest / least, ratio) + 1e-9)) if largest > least else 0
    sizes = np.array([round(largest / ratio**step) for step in range(steps, -1, -1)])
    return Subsets(held, orders, sizes)


def stratified_order(
    labels: np.ndarray, images: np.ndarray, groups: np.ndarray | None, rng: np.random.Generator
) -> np.ndarray:
    """Put images in a random order whose beginnings have each class in its proportion.

    Args:
        labels: int (n,), of all images.
        images: int (m,), which ones.
        groups: int (n,); images of a group and class follow each other among their class.
        rng: alone decides the order.
    """
    names = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    turn = rng.permutation(len(labels))[names]
    place = np.empty(len(images))
    for kind in np.unique(labels[images]):
        members = np.flatnonzero(labels[images] == kind)
        members = members[np.argsort(turn[images[members]], kind="stable")]
        place[members] = (np.arange(len(members)) + rng.random()) / len(members)
        place[members[:LEAST_OF_CLASS]] -= 1.0  # before all others
    result: np.ndarray = images[np.argsort(place, kind="stable")]
    return result


def errors_of(
    z: np.ndarray, problem: Problem, subsets: Subsets, penalty: float, progress: Progress = SILENT
) -> tuple[np.ndarray, int]:
    """Train on every part and test on what the seed holds out.

    Args:
        z: coordinates of the n images, float32 (n, r).
        problem: labels.
        subsets: the parts.
        penalty: λ on the largest part; λ·N/n on one of n images.
        progress: reports the fraction done.

    Returns:
        One minus the balanced accuracy, float64 (seeds, j), and how many fits ran out of steps.
    """
    errors = np.full((len(subsets.held), len(subsets.sizes)), np.nan)
    penalties = penalty * subsets.sizes[-1] / subsets.sizes
    tests = [np.flatnonzero(held) for held in subsets.held]
    total = sum(job.work for job in _jobs(z, problem, subsets))
    stopped, done = 0, 0
    for job in _jobs(z, problem, subsets):
        rows = problem.kind.rows(z[job.images], problem.targets.subset(job.images))
        masks = np.stack([subsets.masks(s)[j] for s, j in job.parts])[:, job.images]
        point = _solve(rows, masks, penalties[[j for _, j in job.parts]])
        stopped += int((~point.converged).sum())
        with one_thread():  # small products
            for (seed, part), weights in zip(job.parts, point.weights, strict=True):
                held = problem.targets.subset(tests[seed])
                logits = z[tests[seed]] @ weights[:, :-1].T + weights[:, -1]
                score = problem.kind.score(logits, held.values, held.weights)
                errors[seed, part] = 1 - score
        done += job.work
        progress(done / total)
    return np.maximum(errors, 0.0), stopped


@dataclass(frozen=True)
class _Job:
    """Problems that are solved together: seed and part of each, and the images they need."""

    parts: list[tuple[int, int]]
    images: np.ndarray

    @property
    def work(self) -> int:
        return len(self.parts) * len(self.images)


def _jobs(z: np.ndarray, problem: Problem, subsets: Subsets) -> Iterator[_Job]:
    """List them: large parts of all seeds share all images, small ones of a seed its largest."""
    small = int((subsets.sizes <= SMALL_PART * subsets.sizes[-1]).sum())
    seeds = range(len(subsets.held))
    large = [(seed, part) for seed in seeds for part in range(small, len(subsets.sizes))]
    # a path holds two points and makes a third
    size = 3 * z.itemsize * problem.targets.count * (sum(z.shape) + 1)
    together = max(1, PATH_BYTES // size)
    for start in range(0, len(large), together):
        yield _Job(large[start : start + together], np.arange(len(z)))
    for seed in seeds if small else ():
        images = np.sort(subsets.orders[seed][: subsets.sizes[small - 1]])
        yield _Job([(seed, part) for part in range(small)], images)


def _solve(rows: Rows, masks: np.ndarray, penalties: np.ndarray) -> Point:
    path, everyone = Path(rows, masks), np.arange(len(masks))
    levels = max(0, math.ceil(math.log10(START / penalties.min())))
    for level in range(levels, 0, -1):
        path.go(penalties * 10.0**level, everyone)
    return path.go(penalties, everyone, TOLERANCE)


def _held_out(problem: Problem, groups: np.ndarray | None) -> np.ndarray:
    """Choose what the seeds hold out: whole repeats where that is not too many."""
    splits = problem.splits
    seeds = min(splits.folds * math.ceil(SEEDS / splits.folds), MOST_SEEDS)
    repeats = math.ceil(seeds / splits.folds)
    assignment = splits.assignment
    if repeats > splits.repeats:
        dealt = make_splits(
            problem.targets.strata,
            folds=splits.folds,
            repeats=repeats,
            seed=splits.seed,
            groups=groups,
            fewest=1,  # as many as the study's own folds allowed
        )
        assignment = np.concatenate([assignment, dealt.assignment[splits.repeats :]])
    units = [(repeat, fold) for repeat in range(repeats) for fold in range(splits.folds)]
    return np.stack([assignment[repeat] == fold for repeat, fold in units[:seeds]])
