"""L-BFGS's memory for many problems at once.

The usual recursion goes through all pairs twice, with a sum over all variables at each. Here
the pairs lie side by side in one array and the inner products between them in a small matrix, so
that a direction costs one product to find its coefficients and one to apply them (the recursion in
terms of inner products: Chen, Wang & Zhou 2014, "Large-scale L-BFGS using MapReduce"). Of a new
pair, the products with all others follow from those before.
"""

from __future__ import annotations

import numpy as np

PAIRS = 5
# a pair whose curvature is lost in rounding takes no part
LEAST_CURVATURE = 1e-12


class PairMemory:
    """The last steps and changes of the gradient of b problems with v variables each.

    Args:
        gradient: (b, v), where the minimisation begins.
    """

    def __init__(self, gradient: np.ndarray) -> None:
        problems, variables = gradient.shape
        # PAIRS steps, then PAIRS changes of the gradient
        self.pairs = np.zeros((problems, 2 * PAIRS, variables), gradient.dtype)
        self.products = np.zeros((problems, 2 * PAIRS, 2 * PAIRS))
        self.inverse = np.zeros((problems, PAIRS))  # 1 / ⟨step, change⟩
        self.size = np.ones(problems)  # of the first guess of the inverse Hessian
        self.count = 0
        self.gradient = gradient
        self.square = _inner(gradient, gradient)  # squared norm of the gradient, (b,)
        self.along = np.zeros((problems, 2 * PAIRS))  # products of the pairs with the gradient

    def select(self, which: np.ndarray) -> None:
        """Go on with some of the problems, bool (b,)."""
        names = ("pairs", "products", "inverse", "size", "gradient", "square", "along")
        for name in names:
            setattr(self, name, getattr(self, name)[which])

    def direction(self) -> tuple[np.ndarray, np.ndarray]:
        """Give minus the inverse Hessian times the gradient (Nocedal & Wright, algorithm 7.4).

        Returns:
            The direction, (b, v), and its inner product with the gradient, float64 (b,).
        """
        self._steepest = steepest = -self.size
        self._coefficients = pairs = -self._recursion()
        result = np.matmul(pairs[:, None].astype(self.pairs.dtype), self.pairs)[:, 0]
        result += steepest[:, None].astype(result.dtype) * self.gradient
        return result, steepest * self.square + np.vecdot(pairs, self.along)

    def _recursion(self) -> np.ndarray:
        """Coefficients of all pairs in the inverse Hessian times the gradient, (b, 2·PAIRS)."""
        steps, changes = self.products[:, :PAIRS], self.products[:, PAIRS:]
        newest_first = [(self.count - 1 - i) % PAIRS for i in range(min(self.count, PAIRS))]
        alphas, betas = np.zeros((2, len(self.inverse), PAIRS))
        for i in newest_first:
            rest = self.along[:, i] - np.vecdot(alphas, steps[:, i, PAIRS:])
            alphas[:, i] = self.inverse[:, i] * rest
        for i in reversed(newest_first):
            rest = self.along[:, PAIRS + i] - np.vecdot(alphas, changes[:, i, PAIRS:])
            rest = self.size * rest + np.vecdot(betas, changes[:, i, :PAIRS])
            betas[:, i] = alphas[:, i] - self.inverse[:, i] * rest
        return np.concatenate([betas, -self.size[:, None] * alphas], axis=1)

    def remember(self, length: np.ndarray, direction: np.ndarray, gradient: np.ndarray) -> None:
        """Note that ``length`` (b,) times the last ``direction`` (b, v) led to ``gradient``."""
        dtype = self.pairs.dtype
        # products with the step, before its place is overwritten
        step_along = self._steepest[:, None] * self.along
        step_along += np.matmul(self.products, self._coefficients[:, :, None])[:, :, 0]
        place = self.count % PAIRS
        step, change = self.pairs[:, place], self.pairs[:, PAIRS + place]
        np.multiply(direction, length[:, None].astype(dtype), out=step)
        np.subtract(gradient, self.gradient, out=change)
        along = np.matmul(self.pairs, gradient[:, :, None])[:, :, 0].astype(np.float64)
        self._note(place, length[:, None] * step_along)
        self._note(PAIRS + place, along - self.along)
        bend, long, sharp = _inner(step, change), _inner(step, step), _inner(change, change)
        self.products[:, place, place] = long
        self.products[:, PAIRS + place, PAIRS + place] = sharp
        self.products[:, place, PAIRS + place] = self.products[:, PAIRS + place, place] = bend
        useful = bend > LEAST_CURVATURE * long
        self.inverse[:, place] = np.where(useful, 1.0 / np.where(useful, bend, 1.0), 0.0)
        self.size = np.where(useful, bend / np.where(useful, sharp, 1.0), self.size)
        self.gradient, self.square, self.along = gradient, _inner(gradient, gradient), along
        self.count += 1

    def _note(self, place: int, products: np.ndarray) -> None:
        self.products[:, place] = products
        self.products[:, :, place] = products


def _inner(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Inner product of each problem, float64 (b,)."""
    result: np.ndarray = np.vecdot(a, b).astype(np.float64)
    return result
