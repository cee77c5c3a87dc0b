"""Heads trained on growing subsets of the images, each within the next, for several seeds.

Each seed holds out one fold of the study, with its groups. The other images are ordered so that
every leading part has the classes in proportion, at least two images of each, and whole groups;
the subsets are leading parts of that order. On each of them a head is fitted as in the study's
cross-validation: its penalty is chosen on as many inner folds, and nothing that was held out plays
a part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from headfit.fitting.exact.coordinates import Coordinates
from headfit.fitting.exact.nested import choose
from headfit.fitting.problem import Problem, Splits
from headfit.fitting.threads import one_thread
from headfit.images.targets import NUMBER
from headfit.progress import SILENT, Progress
from headfit.study.protocol.splits import make_splits

SEEDS, MOST_SEEDS = 10, 20
LEAST_IMAGES, LEAST_OF_CLASS = 20, 2
# sizes below the largest, if each is half of the next
ENOUGH = 4
# folds that the smallest part can be cut into
MOST_FOLDS = LEAST_IMAGES // 2
# images × coordinates × classes of the parts that are fitted together: so much takes about as long
# as the steps around it
WORK_TOGETHER = 4_000_000


@dataclass(frozen=True)
class Subsets:
    """What each seed holds out, and the order in which it trains on the rest.

    Attributes:
        held: bool (seeds, n).
        orders: of each seed the images that are not held out, int.
        inner: the inner fold of each of these, int.
        folds: number of folds, with the one held out.
        sizes: int (j,), ascending; the largest is that of the smallest training part.
    """

    held: np.ndarray
    orders: list[np.ndarray]
    inner: list[np.ndarray]
    folds: int
    sizes: np.ndarray

    def assignment(self, parts: list[tuple[int, int]]) -> npt.NDArray[np.int16]:
        """Give the fold of every image in some parts, (m, n): the last is held out, −1 is unused.

        Args:
            parts: seed and size, by their numbers.
        """
        folds = np.full((len(parts), self.held.shape[1]), -1, np.int16)
        for row, (seed, part) in zip(folds, parts, strict=True):
            size = self.sizes[part]
            inner = self.inner[seed][:size]
            if np.ptp(inner) == 0:  # images of one group: one of its folds must leave some
                inner = np.arange(size) % max(1, self.folds - 1)
            row[self.orders[seed][:size]] = inner
            row[self.held[seed]] = self.folds - 1
        return folds

    @property
    def images(self) -> int:
        """Images of all parts of a seed together, those tested included."""
        return int(self.sizes.sum() + len(self.sizes) * self.held[0].sum())


def make_subsets(problem: Problem, groups: np.ndarray | None) -> Subsets:
    """Deal the images of a study.

    Args:
        problem: labels and folds. Ten seeds need ten folds: if the study has fewer in all its
            repeats, further repeats are dealt as it would deal them.
        groups: int (n,), those that the folds keep together.
    """
    held = _held_out(problem, groups)
    state = problem.splits.seed
    orders = [
        stratified_order(
            problem.targets.stratum,
            np.flatnonzero(~out),
            groups,
            np.random.default_rng([state, 9, seed]),
        )
        for seed, out in enumerate(held)
    ]
    largest = min(len(order) for order in orders)
    least = max(LEAST_IMAGES, LEAST_OF_CLASS * problem.targets.count)
    # sizes between cost as much again and make forecasts no surer: their images are the same
    ratio = 2.0 if largest >= least * 2**ENOUGH else math.sqrt(2.0)
    steps = max(0, int(math.log(largest / least, ratio) + 1e-9)) if largest > least else 0
    sizes = np.array([round(largest / ratio**step) for step in range(steps, -1, -1)])
    folds = min(problem.splits.folds, MOST_FOLDS)
    inner = [inner_folds(problem.targets.stratum, order, groups, folds - 1) for order in orders]
    return Subsets(held, orders, inner, folds, sizes)


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


def inner_folds(
    labels: np.ndarray, order: np.ndarray, groups: np.ndarray | None, folds: int
) -> np.ndarray:
    """Deal images to folds in their order, each class by itself, groups whole.

    Args:
        labels: int (n,), of all images.
        order: int (m,), which ones.
        groups: int (n,).
        folds: number of folds.

    Returns:
        int (m,); leading parts of the order are spread over the folds too.
    """
    names = (np.arange(len(labels)) if groups is None else groups)[order].tolist()
    dealt: dict[int, int] = {}
    turns = list(range(int(labels.max()) + 1))  # classes begin at different folds
    for name, label in zip(names, labels[order].tolist(), strict=True):
        if name not in dealt:
            dealt[name] = turns[label] % folds
            turns[label] += 1
    return np.array([dealt[name] for name in names])


def errors_of(
    coordinates: Coordinates,
    problem: Problem,
    subsets: Subsets,
    known: np.ndarray | None = None,
    progress: Progress = SILENT,
) -> tuple[np.ndarray, int]:
    """Train on every part, with a penalty chosen within it, and test on what the seed holds out.

    Args:
        coordinates: of the n images.
        problem: labels and penalties.
        subsets: the parts.
        known: errors that need not be measured, float64 (seeds, j); nan where they must be.
        progress: reports the fraction done.

    Returns:
        One minus the primary metric, float64 (seeds, j), and how many fits ran out of steps.
    """
    shape = len(subsets.held), len(subsets.sizes)
    errors = np.full(shape, np.nan) if known is None else known.copy()
    wanted = np.argwhere(np.isnan(errors))[:, ::-1]
    wanted = wanted[np.argsort(wanted[:, 0], kind="stable")]  # parts of one size together
    most = WORK_TOGETHER // (coordinates.z.size * problem.targets.count)
    total, done, stopped = max(1, int(subsets.sizes[wanted[:, 0]].sum())), 0, 0
    with one_thread():  # small products
        for start in range(0, len(wanted), max(1, most)):
            parts = [(seed, part) for part, seed in wanted[start : start + max(1, most)].tolist()]
            assignment = subsets.assignment(parts)
            images = np.flatnonzero((assignment >= 0).any(axis=0))
            splits = Splits(subsets.folds, len(parts), problem.splits.seed, assignment[:, images])
            inside = replace(problem, targets=problem.targets.subset(images), splits=splits)
            units = [(number, subsets.folds - 1) for number in range(len(parts))]
            choices = choose(replace(coordinates, z=coordinates.z[images]), inside, units)
            for (seed, part), logits in zip(parts, choices.scores, strict=True):
                test = subsets.held[seed]
                errors[seed, part] = 1 - problem.score_part(logits[:, test[images]].T, test)
                done += int(subsets.sizes[part])
            stopped += choices.stopped
            progress(done / total)
    return np.maximum(errors, 0.0), stopped


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
            required=problem.targets.kind != NUMBER,
        )
        assignment = np.concatenate([assignment, dealt.assignment[splits.repeats :]])
    units = [(repeat, fold) for repeat in range(repeats) for fold in range(splits.folds)]
    return np.stack([assignment[repeat] == fold for repeat, fold in units[:seeds]])
