"""L-BFGS's memory for many problems at once.

The usual recursion goes through all kept pairs twice, with a sum over all variables at each. Here
the pairs lie side by side in one array and the inner products between them in a small matrix, so
that a direction costs one product to find its coefficients and one to apply them (the recursion in
terms of inner products: Chen, Wang & Zhou 2014, "Large-scale L-BFGS using MapReduce"). Of a new
pair, the products with all others follow from what is known already.
"""

from __future__ import annotations

import numpy as np

KEPT = 5
# a pair whose curvature is lost in rounding takes no part
LEAST_CURVATURE = 1e-12


class Memory:
    """The last steps and changes of the gradient of b problems with v variables each.

    Args:
        gradient: (b, v), where the minimisation begins.
    """

    def __init__(self, gradient: np.ndarray) -> None:
        problems, variables = gradient.shape
        # KEPT steps, then KEPT changes of the gradient
        self.pairs = np.zeros((problems, 2 * KEPT, variables), gradient.dtype)
        self.products = np.zeros((problems, 2 * KEPT, 2 * KEPT))
        self.inverse = np.zeros((problems, KEPT))  # 1 / ⟨step, change⟩
        self.size = np.ones(problems)  # of the first guess of the inverse Hessian
        self.count = 0
        self.gradient = gradient
        self.square = _inner(gradient, gradient)  # squared norm of the gradient, (b,)
        self.along = np.zeros((problems, 2 * KEPT))  # products of the pairs with the gradient

    def keep(self, which: np.ndarray) -> None:
        """Go on with some of the problems, bool (b,)."""
        names = ("pairs", "products", "inverse", "size", "gradient", "square", "along")
        for name in names:
            setattr(self, name, getattr(self, name)[which])

    def direction(self) -> tuple[np.ndarray, np.ndarray]:
        """Give minus the inverse Hessian times the gradient (Nocedal & Wright, algorithm 7.4).

        Returns:
            The direction, (b, v), and its inner product with the gradient, float64 (b,).
        """
        self._own = own = -self.size
        self._coefficients = pairs = -self._recursion()
        result = np.matmul(pairs[:, None].astype(self.pairs.dtype), self.pairs)[:, 0]
        result += own[:, None].astype(result.dtype) * self.gradient
        return result, own * self.square + np.vecdot(pairs, self.along)

    def _recursion(self) -> np.ndarray:
        """Coefficients of all pairs in the inverse Hessian times the gradient, (b, 2·KEPT)."""
        steps, changes = self.products[:, :KEPT], self.products[:, KEPT:]
        newest_first = [(self.count - 1 - i) % KEPT for i in range(min(self.count, KEPT))]
        taken, given = np.zeros((2, len(self.inverse), KEPT))
        for i in newest_first:
            rest = self.along[:, i] - np.vecdot(taken, steps[:, i, KEPT:])
            taken[:, i] = self.inverse[:, i] * rest
        for i in reversed(newest_first):
            rest = self.along[:, KEPT + i] - np.vecdot(taken, changes[:, i, KEPT:])
            rest = self.size * rest + np.vecdot(given, changes[:, i, :KEPT])
            given[:, i] = taken[:, i] - self.inverse[:, i] * rest
        return np.concatenate([given, -self.size[:, None] * taken], axis=1)

    def remember(self, length: np.ndarray, direction: np.ndarray, gradient: np.ndarray) -> None:
        """Note that ``length`` (b,) times the last ``direction`` (b, v) led to ``gradient``."""
        dtype = self.pairs.dtype
        # products with the step, before its place is overwritten
        step_along = self._own[:, None] * self.along
        step_along += np.matmul(self.products, self._coefficients[:, :, None])[:, :, 0]
        place = self.count % KEPT
        step, change = self.pairs[:, place], self.pairs[:, KEPT + place]
        np.multiply(direction, length[:, None].astype(dtype), out=step)
        np.subtract(gradient, self.gradient, out=change)
        along = np.matmul(self.pairs, gradient[:, :, None])[:, :, 0].astype(np.float64)
        self._note(place, length[:, None] * step_along)
        self._note(KEPT + place, along - self.along)
        bend, long, sharp = _inner(step, change), _inner(step, step), _inner(change, change)
        self.products[:, place, place] = long
        self.products[:, KEPT + place, KEPT + place] = sharp
        self.products[:, place, KEPT + place] = self.products[:, KEPT + place, place] = bend
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
