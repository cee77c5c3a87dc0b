"""Multinomial logistic regression, many problems at once along a path of penalties.

Every problem b minimises over W (K, r) and an intercept c that is not penalised

    (1/n_b) Σ_{i in b} −log softmax(W z_i + c)_{y_i}  +  (λ/2) ‖W‖²

and differs from the others only in the rows that it trains on. All share the matrix Z, so one
matrix product serves all of them. Penalties are taken from large to small, each starting where the
last one ended. Z is rotated so that its columns are orthogonal (see
:mod:`headfit.fitting.coordinates`), which makes the Hessian nearly diagonal: in variables scaled by
the root of that diagonal, taken anew for each penalty, L-BFGS needs few steps. In those variables
half the squared gradient estimates how far the objective is from its minimum, which is what
the tolerance bounds. Logits are linear in the step, so the line search costs no matrix product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

MEMORY = 8
MAX_STEPS = 300
# for choosing and scoring: the objective is then within about 5e-7 of its minimum
TOLERANCE = 1e-3
# for weights that are handed over
EXACT = 1e-6
BATCH_BYTES = 48 * 1024**2
Pair = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Solution:
    """What some of the problems came to at one penalty.

    Attributes:
        problems: which problems these are.
        penalty: which penalty, an index.
        kernel: (b, K, r), of Z's dtype.
        bias: (b, K).
        logits: (b, K, n), of all rows, also those not trained on.
        converged: bool (b,).
    """

    problems: slice
    penalty: int
    kernel: np.ndarray
    bias: np.ndarray
    logits: np.ndarray
    converged: np.ndarray


def solve(
    z: np.ndarray,
    labels: np.ndarray,
    classes: int,
    masks: np.ndarray,
    penalties: Sequence[float],
    *,
    tolerance: float = TOLERANCE,
) -> Iterator[Solution]:
    """Fit all problems at all penalties, some problems at a time so that memory stays bounded.

    Args:
        z: (n, r), float32 or float64, orthogonal columns; its dtype is that of the work.
        labels: int (n,), 0 to K−1.
        classes: K.
        masks: bool (B, n), the rows that each problem trains on, at least one.
        penalties: values of λ, in any order; cheapest from large to small.
        tolerance: on the norm of the scaled gradient of each problem.

    Yields:
        Solutions of consecutive problems, all penalties (in the given order) before the next.
    """
    n, r = z.shape
    rows = np.hstack([z, np.ones((n, 1), z.dtype)])
    step = max(1, BATCH_BYTES // (z.itemsize * classes * max(n, r + 1)))
    for start in range(0, len(masks), step):
        part = slice(start, min(start + step, len(masks)))
        weights = np.zeros((part.stop - start, classes, r + 1), z.dtype)
        for number, penalty in enumerate(penalties):
            problem = _Problems(rows, labels, masks[part], penalty)
            weights, logits, converged = problem.minimise(weights, tolerance)
            kernel, bias = weights[..., :-1], weights[..., -1]
            yield Solution(part, number, kernel, bias, logits, converged)


class _Problems:
    """Some problems at one penalty, minimised together.

    Arrays of variables have shape (b, K, r + 1), the intercept last, arrays of logits (b, K, n):
    the long axis comes last, so that sums over the few classes run over whole rows. Inner products
    are taken for each problem alone.
    """

    def __init__(
        self, z: np.ndarray, labels: np.ndarray, masks: np.ndarray, penalty: float
    ) -> None:
        self.z = z
        self.own = labels, np.arange(len(labels))
        self.share = (masks / masks.sum(axis=1, keepdims=True)).astype(z.dtype)  # (b, n)
        self.penalty = penalty
        self.scale = np.ones((), z.dtype)

    def minimise(
        self, weights: np.ndarray, tolerance: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give weights (b, K, r + 1), logits (b, K, n) and whether each problem converged."""
        final, final_logits = weights, self._product(weights)
        logits = final_logits
        loss, p = self._losses(logits, self._inner(weights, weights))
        self._precondition(p)
        gradient = self._gradient(weights, p)
        active = np.arange(len(weights))
        converged = np.zeros(len(active), bool)
        history: list[Pair] = []
        for _ in range(MAX_STEPS):
            done = np.sqrt(_dot(gradient, gradient)) <= tolerance
            # leaving costs a copy of everything: worth it for a good part of the problems
            if done.mean() > 0.2:
                final, final_logits = final.copy(), final_logits.copy()
                final[active], final_logits[active] = weights, logits
                converged[active[done]] = True
                if done.all():
                    return final, final_logits, converged
                stay = ~done
                active, weights, logits = active[stay], weights[stay], logits[stay]
                loss, gradient = loss[stay], gradient[stay]
                history = [(s[stay], y[stay], rho[stay]) for s, y, rho in history]
                self.share, self.scale = self.share[stay], self.scale[stay]
            direction = -_two_loop(gradient, history)
            weights, logits, loss, p, step = self._search(
                weights, logits, loss, gradient, direction
            )
            after = self._gradient(weights, p)
            history = _remember(history, step, after - gradient)
            gradient = after
        final, final_logits = final.copy(), final_logits.copy()
        final[active], final_logits[active] = weights, logits
        converged[active] = np.sqrt(_dot(gradient, gradient)) <= tolerance
        return final, final_logits, converged

    def _product(self, weights: np.ndarray) -> np.ndarray:
        """Logits (b, K, n) of weights (b, K, r + 1)."""
        return _times(weights, self.z.T)

    def _inner(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """λ⟨A, B⟩ of each problem's kernels, float64 (b,)."""
        return self.penalty * _dot(a[..., :-1], b[..., :-1])

    def _precondition(self, p: np.ndarray) -> None:
        """Scale each variable by the root of its own second derivative."""
        spread = self.share[:, None] * p * (1 - p)
        curvature = _times(spread, np.square(self.z))
        floor = 1e-8 * curvature.max(axis=2, keepdims=True) + np.finfo(p.dtype).tiny
        np.maximum(curvature, floor, out=curvature)
        curvature[..., :-1] += self.penalty
        self.scale = 1.0 / np.sqrt(curvature)

    def _losses(self, logits: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Objective of each problem, (b,), from its logits and λ‖W‖², and the softmax (b, K, n)."""
        peak = logits.max(axis=1)
        p = logits - peak[:, None]
        given = p[:, *self.own]
        np.exp(p, out=p)
        total = p.sum(axis=1)
        p /= total[:, None]
        value: np.ndarray = (self.share * (np.log(total) - given)).sum(axis=1, dtype=np.float64)
        return value + 0.5 * squares, p

    def _gradient(self, weights: np.ndarray, p: np.ndarray) -> np.ndarray:
        """Gradient in the scaled variables, (b, K, r + 1); overwrites ``p``."""
        p[:, *self.own] -= 1.0
        p *= self.share[:, None]
        result = _times(p, self.z)
        result[..., :-1] += self.penalty * weights[..., :-1]
        result *= self.scale
        return result

    def _search(
        self,
        weights: np.ndarray,
        logits: np.ndarray,
        loss: np.ndarray,
        gradient: np.ndarray,
        direction: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Backtrack to sufficient decrease (Armijo), each problem by itself.

        Returns:
            The new weights, logits, losses and softmax, and the step taken in scaled variables.
        """
        change = direction * self.scale
        change_logits = self._product(change)
        slope = _dot(gradient, direction)
        square, cross, change_square = (
            self._inner(a, b) for a, b in ((weights, weights), (weights, change), (change, change))
        )
        # losses below this are rounding: a step that changes no more must not be refused
        slack = 8 * np.finfo(logits.dtype).eps * np.maximum(1.0, loss)
        length = np.ones(len(loss))
        for _ in range(25):
            factor = length[:, None, None].astype(logits.dtype)
            tried = logits + factor * change_logits
            squares = square + 2 * length * cross + length**2 * change_square
            found, p = self._losses(tried, squares)
            worse = found > loss + 1e-4 * length * slope + slack
            if not worse.any():
                break
            length[worse] *= 0.4
        return weights + factor * change, tried, found, p, factor * direction


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis, the same shape and dtype."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    exponentials /= exponentials.sum(axis=-1, keepdims=True)
    result: np.ndarray = exponentials
    return result


def _times(a: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Matrix product of a (b, K, m) with ``matrix`` (m, l): (b, K, l)."""
    # the long operand first: BLAS then deals out its rows, and threads that do not share a
    # piece of the short one need not wait for each other (measured: 3 times faster on a busy CPU)
    flat = matrix.T @ a.reshape(-1, a.shape[2]).T
    return np.ascontiguousarray(flat.T).reshape(*a.shape[:2], -1)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Inner product of each problem, float64 (b,)."""
    result: np.ndarray = np.vecdot(a, b).sum(axis=1, dtype=np.float64)
    return result


def _remember(history: list[Pair], step: np.ndarray, bend: np.ndarray) -> list[Pair]:
    curvature = _dot(step, bend)
    useful = curvature > 1e-12 * _dot(step, step)
    rho = np.where(useful, 1.0 / np.where(useful, curvature, 1.0), 0.0)
    return [*history[-(MEMORY - 1) :], (step, bend, rho)]


def _two_loop(gradient: np.ndarray, history: list[Pair]) -> np.ndarray:
    """L-BFGS's product of the inverse Hessian with the gradient (Nocedal & Wright, alg. 7.4).

    A pair without curvature has rho = 0 and so takes no part. The scaled variables already have
    unit curvature, so the first Hessian is the identity.
    """
    q = gradient.copy()
    factors = []
    for step, bend, rho in reversed(history):
        factor = (rho * _dot(step, q)).astype(q.dtype)[:, None, None]
        q -= factor * bend
        factors.append(factor)
    for (step, bend, rho), factor in zip(history, reversed(factors), strict=True):
        q += (factor - (rho * _dot(bend, q)).astype(q.dtype)[:, None, None]) * step
    return q
