"""Nested cross-validation of ridge regression on numbers, exact for every fold and penalty.

There is no path to follow: each model has a closed form. Where the features are many, one inverse
serves all models of a penalty (:class:`headfit.fitting.exact.ridge.RidgeScreen`), and each costs a
system of the size of the rows that it leaves out; where they are few, a model is solved from the
sums ZᵀZ and ZᵀY without those rows. A penalty λ is relative to the sum of squares of all images,
the same in every fold, as in scikit-learn's ``Ridge(alpha=λ tr(ZᵀZ))``.

A penalty is chosen by the mean over the columns of the squared error, relative to the variance of
the column in the training part; so the units that numbers are in do not matter.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from headfit.errors import EngineError
from headfit.fitting.exact.choices import Choices, Unit, rises
from headfit.fitting.exact.coordinates import Coordinates
from headfit.fitting.exact.ridge import RidgeScreen
from headfit.fitting.problem import Problem, inner_pairs
from headfit.fitting.threads import in_threads
from headfit.progress import SILENT, Progress
from headfit.util.machine import usable_cores

# where the inverses are larger than this there is one at a time
TOGETHER_BYTES = 512 * 1024**2
# below this an inverse loses digits where features span less than the images (1e-8: 3e-5 of the
# error, 1e-9: 3e-3): enough to choose by, and the models that are scored are solved from sums
LEAST_INVERSE = 1e-7


def choose(
    coordinates: Coordinates, problem: Problem, units: list[Unit], progress: Progress = SILENT
) -> Choices:
    """Choose a penalty for each unit, and fit it on its whole training part with that.

    Args:
        coordinates: of the n images.
        problem: targets, folds and penalties; a fold of −1 leaves an image out of a repeat.
        units: repeat and outer fold.
        progress: reports the fraction done.
    """
    n, count = coordinates.z.shape[0], problem.targets.count
    losses = np.full((len(units), len(problem.penalties)), np.nan)
    chosen = np.full(len(units), len(problem.penalties) // 2)
    scores = np.zeros((len(units), count, n))
    # repeats that deal the same images share their inverses
    present = problem.splits.assignment >= 0
    masks, which = np.unique(present, axis=0, return_inverse=True)
    for number, mask in enumerate(masks):
        members = [u for u, (repeat, _) in enumerate(units) if which.ravel()[repeat] == number]
        if not members:
            continue
        some = _Some(coordinates.z, problem, np.flatnonzero(mask), [units[u] for u in members])
        losses[members] = some.inner_losses(progress.part(number, len(masks)))
        if not np.isnan(losses[members]).all():
            chosen[members] = np.nanargmin(losses[members], axis=1)
        scores[members] = some.scores(chosen[members])
    trained_on = [
        (problem.splits.assignment[repeat] >= 0) & (problem.splits.assignment[repeat] != fold)
        for repeat, fold in units
    ]
    train = [problem.score(each.T, mask) for each, mask in zip(scores, trained_on, strict=True)]
    return Choices(losses, chosen, scores, np.array(train))


def solve(z: np.ndarray, problem: Problem, masks: np.ndarray, penalties: np.ndarray) -> np.ndarray:
    """Fit some models by their weights.

    Args:
        z: (n, r), coordinates of the images.
        problem: targets of the n images.
        masks: bool (b, n), what each model trains on.
        penalties: λ of each, float64 (b,).

    Returns:
        float64 (b, K, r + 1), the intercept last.
    """
    rows = _Centred(z, problem, np.arange(len(z)))
    sums = _Sums(rows)
    weights = np.empty((len(masks), problem.targets.count, z.shape[1] + 1))
    for number, (mask, penalty) in enumerate(zip(masks, penalties, strict=True)):
        kernel, bias = sums.model(np.flatnonzero(~mask), float(penalty))
        weights[number, :, :-1] = kernel.T
        weights[number, :, -1] = bias + rows.middle - rows.mean @ kernel
    return weights


class _Centred:
    """Some rows, centred by weight and multiplied by the roots of their weights.

    Attributes:
        z: float64 (m, r).
        y: float64 (m, K).
        roots: float64 (m,); their squares are 1 on average.
        mean: float64 (r,), of z.
        middle: float64 (K,), of the targets.
        strength: tr(ZᵀZ), what a penalty is relative to.
    """

    def __init__(self, z: np.ndarray, problem: Problem, rows: np.ndarray) -> None:
        weights = problem.targets.loss_weights
        counted = np.ones(len(rows)) if weights is None else weights[rows] / weights[rows].mean()
        self.roots = np.sqrt(counted)
        shares = counted / counted.sum()
        targets = problem.kind.encode(problem.targets)[rows]
        part = z[rows].astype(np.float64)
        self.mean = shares @ part
        self.middle = shares @ targets
        self.z = (part - self.mean) * self.roots[:, None]
        self.y = (targets - self.middle) * self.roots[:, None]
        self.strength = float(np.vdot(self.z, self.z)) or 1.0


class _Models(Protocol):
    """Models at one penalty, each without some of the rows."""

    def residuals(self, left_out: np.ndarray) -> np.ndarray:
        """Give target minus prediction, times the root, of the rows left out: (m, K)."""

    def all_residuals(self, left_out: np.ndarray) -> np.ndarray:
        """Give the same of all rows."""


class _Sums:
    """ZᵀZ and ZᵀY, from which models without some rows are solved."""

    def __init__(self, rows: _Centred) -> None:
        self.rows, self.z, self.y, self.roots = rows, rows.z, rows.y, rows.roots
        self.gram, self.product = self.z.T @ self.z, self.z.T @ self.y

    def model(self, left_out: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Give the kernel (r, K) and the bias (K,) of a model without some rows."""
        z, y, roots = self.z[left_out], self.y[left_out], self.roots[left_out]
        total = self.roots @ self.roots - roots @ roots
        # what is left has another mean
        mean, middle = -(roots @ z) / total, -(roots @ y) / total
        gram = self.gram - z.T @ z - total * np.outer(mean, mean)
        product = self.product - z.T @ y - total * np.outer(mean, middle)
        gram[np.diag_indices_from(gram)] += penalty * self.rows.strength
        try:
            kernel = cho_solve(cho_factor(gram, lower=True, overwrite_a=True), product)
        except (LinAlgError, ValueError) as error:
            raise EngineError(
                "The features have values that are not finite or far too large."
            ) from error
        return kernel, middle - mean @ kernel

    def at(self, penalty: float) -> _AtPenalty:
        return _AtPenalty(self, penalty)


class _AtPenalty:
    """:class:`_Sums` at one penalty, as :class:`_Models`."""

    def __init__(self, sums: _Sums, penalty: float) -> None:
        self.sums, self.penalty = sums, penalty

    def residuals(self, left_out: np.ndarray) -> np.ndarray:
        """See :class:`_Models`."""
        residuals: np.ndarray = self.all_residuals(left_out)[left_out]
        return residuals

    def all_residuals(self, left_out: np.ndarray) -> np.ndarray:
        """See :class:`_Models`."""
        sums = self.sums
        kernel, bias = sums.model(left_out, self.penalty)
        result: np.ndarray = sums.y - sums.z @ kernel - sums.roots[:, None] * bias
        return result


class _Some:
    """The units whose repeats deal the same images."""

    def __init__(
        self, z: np.ndarray, problem: Problem, rows: np.ndarray, units: list[Unit]
    ) -> None:
        self.problem, self.rows, self.units = problem, rows, units
        self.folds = problem.splits.assignment[:, rows]
        self.centred = _Centred(z, problem, rows)
        self.pairs = [
            (repeat, i, j)
            for repeat in dict.fromkeys(repeat for repeat, _ in units)
            for i, j in inner_pairs(problem.splits.folds)
            if (repeat, i) in units or (repeat, j) in units
        ]
        self.total = len(problem.targets)
        self._few = self._sums_are_cheaper()

    def inner_losses(self, progress: Progress) -> np.ndarray:
        """Give the inner loss of each unit at each penalty, float64 (units, penalties)."""
        penalties = self.problem.penalties
        losses = np.full((len(self.units), len(penalties)), np.nan)
        if not self.pairs:
            return losses
        make = self._maker()
        alone = not self._few and 8 * len(self.rows) ** 2 > TOGETHER_BYTES
        together = 1 if alone else usable_cores()
        for start in range(0, len(penalties), together):
            some = np.arange(start, min(start + together, len(penalties)))

            def work(which: np.ndarray, some: np.ndarray = some) -> None:
                for level in some[which]:
                    losses[:, level] = self._losses(make(penalties[level]))

            in_threads(work, len(some), 1)
            progress((some[-1] + 1) / (len(penalties) + 1))
            if all(rises(tried) for tried in losses[:, : some[-1] + 1]):
                break
        return losses

    def scores(self, chosen: np.ndarray) -> np.ndarray:
        """Predict all images by the model of each unit, float64 (units, K, n)."""
        centred, make = self.centred, self._maker()
        scores = np.zeros((len(self.units), centred.y.shape[1], self.total))
        for level in np.unique(chosen):
            penalty = self.problem.penalties[level]
            safe = penalty >= LEAST_INVERSE or centred.z.shape[1] >= len(centred.z) - 1
            models = make(penalty) if safe else _Sums(centred).at(penalty)
            for unit in np.flatnonzero(chosen == level):
                repeat, fold = self.units[unit]
                left_out = np.flatnonzero(self.folds[repeat] == fold)
                residuals = models.all_residuals(left_out)
                predictions = (centred.y - residuals) / centred.roots[:, None] + centred.middle
                scores[unit][:, self.rows] = predictions.T
        return scores

    def _losses(self, models: _Models) -> np.ndarray:
        """Give each unit's mean squared error on its inner folds, in variances of its columns."""
        number = {unit: u for u, unit in enumerate(self.units)}
        sums, counts = np.zeros((len(self.units), self.centred.y.shape[1])), np.zeros(len(number))
        plain = self.problem.plain[self.rows]
        for repeat, i, j in self.pairs:
            folds = self.folds[repeat]
            left_out = np.flatnonzero((folds == i) | (folds == j))
            errors = np.square(models.residuals(left_out))
            # judged on j the model helps to choose for i, and the other way round
            for outer, inner in ((i, j), (j, i)):
                if (unit := number.get((repeat, outer))) is not None:
                    judged = (folds[left_out] == inner) & plain[left_out]
                    sums[unit] += errors[judged].sum(axis=0)
                    counts[unit] += np.square(self.centred.roots[left_out[judged]]).sum()
        losses: np.ndarray = (sums / counts[:, None] / self._variances()).mean(axis=1)
        return losses

    def _variances(self) -> np.ndarray:
        """Give the variance of each column in each unit's training part, float64 (units, K)."""
        values = self.problem.kind.encode(self.problem.targets)[self.rows]
        parts = [values[self.folds[repeat] != fold] for repeat, fold in self.units]
        variances = np.array([part.var(axis=0) for part in parts])
        return np.where(variances > 0, variances, 1.0)

    def _maker(self) -> _Maker:
        if self._few:
            return _Sums(self.centred).at
        z, y = self.centred.z, self.centred.y
        gram = z @ z.T
        weighted = self.problem.targets.loss_weights is not None
        roots = self.centred.roots if weighted else None
        return lambda penalty: RidgeScreen(gram, y, penalty, np.float64, roots)

    def _sums_are_cheaper(self) -> bool:
        """Whether solving for the coordinates takes fewer steps than for the rows left out."""
        n, r = self.centred.z.shape
        models, share = len(self.pairs) + len(self.units), 2 / self.problem.splits.folds
        levels = len(self.problem.penalties)
        each = levels * n * r + levels * r**3 / 3 + share * n * r**2 * levels
        return bool(models * each < levels * (n**3 + models * (share * n) ** 3 / 3))


class _Maker(Protocol):
    """Gives the models of a penalty."""

    def __call__(self, penalty: float, /) -> _Models: ...
