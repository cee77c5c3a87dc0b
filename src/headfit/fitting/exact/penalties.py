"""The penalty of each outer fold, by nested cross-validation along the path of penalties.

The inner models of outer fold i leave out i and one other fold (see
:func:`headfit.fitting.problem.inner_pairs`). All models of all repeats go down the path
together, from large penalties to small. As a function of the penalty the inner log-loss falls and
then rises, so a fold stops when it clearly rises; smaller penalties, which cost most, are then not
tried.
"""

from __future__ import annotations

import numpy as np

from headfit.fitting.exact.choices import Choices, Unit, rises
from headfit.fitting.exact.coordinates import Coordinates
from headfit.fitting.exact.logistic import (
    LABEL_TOLERANCE,
    TOLERANCE,
    Path,
    Point,
    minimise,
    origin,
)
from headfit.fitting.problem import Problem, inner_pairs
from headfit.fitting.rows import Rows
from headfit.progress import SILENT, Progress

# the path uses the leading coordinates that hold this share of the variance, at least so many:
# choosing needs no more. The models that are scored use all coordinates.
PATH_SHARE, PATH_LEAST = 0.99, 256
# of the points of all models on a path
PATH_BYTES = 512 * 1024**2


def choose(
    coordinates: Coordinates, problem: Problem, units: list[Unit], progress: Progress = SILENT
) -> Choices:
    """Choose a penalty for each unit, and fit it on its whole training part with that.

    Args:
        coordinates: of the n images.
        problem: labels, folds and penalties; a fold of −1 leaves an image out of a repeat.
        units: repeat and outer fold.
        progress: reports the fraction done.
    """
    rows = rows_of(problem, coordinates.z)
    parts = _parts(rows, problem, units)
    searched = []
    for number, part in enumerate(parts):
        search = _Search(coordinates, problem, part, rows)
        searched.append(search.run(progress.part(number, len(parts))))
    return Choices(
        np.concatenate([choices.losses for choices in searched]),
        np.concatenate([choices.chosen for choices in searched]),
        np.concatenate([choices.scores for choices in searched]),
        np.concatenate([choices.train for choices in searched]),
        sum(choices.stopped for choices in searched),
    )


def rows_of(problem: Problem, z: np.ndarray) -> Rows:
    """Give the rows of a kind of target that is solved along a path, of coordinates (n, r)."""
    assert problem.kind.rows is not None
    return problem.kind.rows(z, problem.targets)


def _parts(rows: Rows, problem: Problem, units: list[Unit]) -> list[list[Unit]]:
    """Cut the units at repeats into parts whose models fit in memory."""
    models = len(inner_pairs(problem.splits.folds)) + problem.splits.folds
    # two points of each model on the path, a third at work
    size = 3 * rows.values.itemsize * rows.outputs * sum(rows.values.shape) * models
    together = max(1, PATH_BYTES // size)
    repeats = list(dict.fromkeys(repeat for repeat, _ in units))
    groups = [repeats[start : start + together] for start in range(0, len(repeats), together)]
    return [[unit for unit in units if unit[0] in group] for group in groups]


class _Search:
    """The path of penalties for some units."""

    def __init__(
        self, coordinates: Coordinates, problem: Problem, units: list[Unit], rows: Rows
    ) -> None:
        self.problem, self.units = problem, units
        number = {unit: u for u, unit in enumerate(units)}
        folds = problem.splits.assignment
        # each pair, and which of the units its two folds are (None: not asked for)
        self.pairs = [
            ((repeat, i, j), (number.get((repeat, i)), number.get((repeat, j))))
            for repeat in dict.fromkeys(repeat for repeat, _ in units)
            for i, j in inner_pairs(problem.splits.folds)
            if (repeat, i) in number or (repeat, j) in number
        ]
        masks = [(folds[r] >= 0) & (folds[r] != i) & (folds[r] != j) for (r, i, j), _ in self.pairs]
        few = int(np.searchsorted(np.cumsum(coordinates.moments), PATH_SHARE)) + 1
        few = max(few, PATH_LEAST)
        short = rows_of(problem, coordinates.z[:, :few])
        self.rows = rows
        self.inner = Path(short, np.reshape(masks, (-1, len(rows.values))))
        self.outer = Path(
            short,
            np.array([(folds[repeat] >= 0) & (folds[repeat] != fold) for repeat, fold in units]),
        )
        self.going = np.ones(len(units), bool)
        self.losses = np.full((len(units), len(problem.penalties)), np.nan)
        self.best = origin(short, len(units))
        self.stopped = 0

    def run(self, progress: Progress) -> Choices:
        """Follow the path, then fit every unit at its penalty to the full tolerance."""
        levels = len(self.problem.penalties)
        for level in range(levels):
            self._go(level)
            progress((level + 1) / (levels + 1))
            if not self.going.any():
                break
        chosen = self._chosen()
        penalties = np.array(self.problem.penalties)[chosen]
        start = self.best.spread(self.rows.values.shape[1])
        tolerance = LABEL_TOLERANCE if self.rows.separate else TOLERANCE
        final = minimise(self.rows, self.outer.masks, penalties, [start], tolerance)
        self.stopped += int((~final.converged).sum())
        train = [
            self.problem.score(logits.T, mask)
            for logits, mask in zip(final.logits, self.outer.masks, strict=True)
        ]
        progress(1.0)
        return Choices(self.losses, chosen, final.logits, np.array(train), self.stopped)

    def _go(self, level: int) -> None:
        """Fit every model that is still needed at the next penalty."""
        penalty = self.problem.penalties[level]
        pairs = [p for p, (_, units) in enumerate(self.pairs) if self._any_going(units)]
        going = self.going.copy()
        better = going.copy()
        if pairs:
            point = self.inner.go(penalty, np.array(pairs))
            self.stopped += int((~point.converged).sum())
            self._judge(level, pairs, point)
            for unit in np.flatnonzero(going):
                tried = self.losses[unit, : level + 1]
                self.going[unit] = not rises(tried)
                better[unit] = tried[-1] == tried.min()
        else:  # of two folds nothing would be left to train on: the middle penalty it is
            self.going[:] = level < len(self.problem.penalties) // 2
        # units that stop here need no model at this penalty
        needed = np.flatnonzero(self.going | better)
        if len(needed):
            point = self.outer.go(penalty, needed)
            self.best.put(needed[better[needed]], point.of(better[needed]))

    def _any_going(self, units: tuple[int | None, int | None]) -> bool:
        return any(unit is not None and self.going[unit] for unit in units)

    def _judge(self, level: int, pairs: list[int], point: Point) -> None:
        """Store each unit's inner loss: the mean over the images of its inner folds, by weight."""
        total, images = np.zeros((2, len(self.units)))
        weights, plain = self.rows.weights, self.problem.plain
        for place, number in enumerate(pairs):
            (repeat, i, j), units = self.pairs[number]
            assignment = self.problem.splits.assignment[repeat]
            # judged on j the model helps to choose for i, and the other way round
            for unit, fold in zip(units, (j, i), strict=True):
                if unit is not None:
                    held = (assignment == fold) & plain
                    values = self.problem.targets.values[held]
                    losses = self.problem.kind.losses(point.logits[place][:, held], values)
                    if weights is not None:
                        losses *= weights[held]
                    total[unit] += losses.sum()
                    images[unit] += held.sum() if weights is None else weights[held].sum()
        self.losses[self.going, level] = total[self.going] / images[self.going]

    def _chosen(self) -> np.ndarray:
        if np.isnan(self.losses).all():
            return np.full(len(self.units), len(self.problem.penalties) // 2)
        chosen: np.ndarray = np.nanargmin(self.losses, axis=1)
        return chosen
