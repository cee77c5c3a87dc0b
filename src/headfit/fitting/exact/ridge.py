"""Ridge regression on the targets, every fold of it from one matrix inverse.

For targets Y (of classes one column each) and a centred Gram matrix K, ridge with an intercept that
is not penalised leaves on rows S, of a model trained on all others, the residuals (B_SS)⁻¹ (B Y)_S
with B = (K + nλI)⁻¹ − 11ᵀ/(n²λ): the block-inverse identity behind exact leave-one-out, for any S.
So one inverse of (n, n) serves all folds and repeats. It is a screen: it says which of several
features says more about the targets, and no probabilities.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.linalg import lapack

from headfit.errors import EngineError
from headfit.fitting.pooled import PooledFeatures, keys_of
from headfit.fitting.problem import Problem, inner_pairs
from headfit.fitting.threads import in_threads
from headfit.heads.pooling import Pooling

# λ relative to the mean square norm of the features; where ridge does best on feature maps
PENALTIES = (1e-2, 1e-3)
# images that a shape is chosen on; more would hardly choose another
SCREENED = 2000
Shape = float | None


class RidgeScreen:
    """Residuals of rows that were left out.

    Args:
        gram: float32 or float64 (n, n), centred Gram matrix; only its lower triangle is read.
        encoded: (n, K), what is to be predicted: for classes 1 in the column of an image's own.
        penalty: λ relative to the mean square norm of the features, tr(K)/n.
        dtype: to compute in. float32 is enough to choose by; float64, at half the speed, gives
            the residuals of refitting to 1e-8.
        roots: float64 (n,), the root of what each row's squared error is multiplied by; the rows of
            ``gram`` and ``encoded``, both centred by weight, are multiplied by it already, and
            residuals are. None where all rows count alike.
    """

    def __init__(
        self,
        gram: np.ndarray,
        encoded: np.ndarray,
        penalty: float,
        dtype: type[np.float32] | type[np.float64] = np.float32,
        roots: np.ndarray | None = None,
    ) -> None:
        n = len(gram)
        scale = float(np.trace(gram)) / n or 1.0
        lifted: np.ndarray = np.array(gram, dtype, order="F")
        lifted /= dtype(scale)
        np.fill_diagonal(lifted, lifted.diagonal() + n * penalty)
        names = ("potrf", "potri", "posv")
        factorise, invert, self._solve = lapack.get_lapack_funcs(names, dtype=dtype)
        factor, failed = factorise(lifted, lower=1, overwrite_a=1)
        if not failed:
            inverse, failed = invert(factor, lower=1, overwrite_c=1)
        if failed or not np.isfinite(scale):
            raise EngineError("The features have values that are not finite or far too large.")
        self._b = np.tril(inverse) + np.tril(inverse, -1).T
        if roots is None:
            self._b -= dtype(1 / (n * n * penalty))
        else:
            unit = (roots / np.linalg.norm(roots)).astype(dtype)
            self._b -= np.outer(unit, unit / dtype(n * penalty))
        self._strength = dtype(n * penalty)
        self._by = self._b @ encoded.astype(dtype)

    def residuals(self, left_out: np.ndarray) -> np.ndarray:
        """Give target minus prediction of rows that were left out together.

        Args:
            left_out: int (m,).

        Returns:
            (m, K), in the dtype of the screen.
        """
        block = self._b[np.ix_(left_out, left_out)].T  # symmetric, so its transpose: BLAS's order
        _, result, failed = self._solve(block, self._by[left_out], overwrite_a=1)
        if failed:  # copies of one image, left out together at a tiny penalty
            result, *_ = np.linalg.lstsq(block, self._by[left_out], rcond=None)
        residuals: np.ndarray = result
        return residuals

    def all_residuals(self, left_out: np.ndarray) -> np.ndarray:
        """Give target minus prediction of all rows, by a model without those left out.

        Where the rows left out had their predictions for targets, the model of all rows would be
        that model; so its residuals on the others are nλ (B (Y − E))_T, with E those of S.

        Args:
            left_out: int (m,).

        Returns:
            (n, K), in the dtype of the screen.
        """
        errors = self.residuals(left_out)
        everywhere: np.ndarray = self._by - self._b[:, left_out] @ errors
        everywhere *= self._strength
        everywhere[left_out] = errors
        return everywhere


def inner_errors(
    screen: RidgeScreen,
    assignment: np.ndarray,
    pairs: Iterable[tuple[int, int]],
    folds: int,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Sum the squared errors that each outer fold sees on its inner folds.

    Args:
        screen: at some penalty.
        assignment: int (n,), the fold of each row.
        pairs: of folds that were left out together.
        folds: their number.
        weights: float64 (n,), what an error is multiplied by. The regressions themselves, which
            only screen, count all rows alike.

    Returns:
        float64 (folds,).
    """
    sums = np.zeros(folds)
    for pair in pairs:
        rows = np.flatnonzero(np.isin(assignment, pair))
        errors = np.square(screen.residuals(rows)).sum(axis=1, dtype=np.float64)
        if weights is not None:
            errors *= weights[rows]
        one, other = pair
        sums[one] += errors[assignment[rows] == other].sum()
        sums[other] += errors[assignment[rows] == one].sum()
    return sums


def best_shapes(pooling: Pooling, pooled: PooledFeatures, problem: Problem) -> list[Shape]:
    """Choose the pooling's shape for each repeat and outer fold on its training part.

    By the squared error of ridge regression on the inner folds, at the best of a few penalties, on
    2,000 of the images if there are more. Of an image's views only the first takes part.
    """
    shapes = [shape for _, shape in keys_of([pooling])]
    folds, repeats = problem.splits.folds, problem.splits.repeats
    if len(shapes) == 1 or folds < 3:  # of two folds nothing would be left to train on
        return [shapes[len(shapes) // 2]] * (repeats * folds)
    images = np.flatnonzero(problem.plain)
    order = np.random.default_rng(problem.seed).permutation(len(images))
    some = images[np.sort(order[:SCREENED])]
    targets = problem.targets.subset(some)
    encoded, weights = problem.kind.encode(targets), targets.loss_weights
    grams = pooled.grams(pooling, shapes, some)
    tries = [(s, penalty) for s in range(len(shapes)) for penalty in PENALTIES]
    errors = np.empty((len(tries), repeats * folds))

    def work(numbers: np.ndarray) -> None:
        for number in numbers:
            s, penalty = tries[number]
            screen = RidgeScreen(grams[s], encoded, penalty)
            errors[number] = np.concatenate(
                [
                    inner_errors(screen, assignment[some], inner_pairs(folds), folds, weights)
                    for assignment in problem.splits.assignment
                ]
            )

    in_threads(work, len(tries), 1)
    least = errors.reshape(len(shapes), -1, repeats * folds).min(axis=1)
    return [shapes[best] for best in least.argmin(axis=0)]
