"""Multinomial logistic regression, many problems at once along a path of penalties.

Every problem b minimises over W (K, r) and an intercept c that is not penalised

    (1/n_b) Σ_{i in b} −log softmax(W z_i + c)_{y_i}  +  (λ/2) ‖W‖²

and differs from the others only in the rows that it trains on. All share the matrix Z, so one
matrix product serves all of them. Penalties are taken from large to small, each starting where the
last one ended, or where the last two point to if that is better. Z is rotated so that its columns
are orthogonal (see :mod:`headfit.fitting.coordinates`), which makes the Hessian nearly diagonal: in
variables scaled by the root of that diagonal, taken anew for each penalty, L-BFGS needs few steps.
Logits are linear in the step, so the line search costs no matrix product.

In the scaled variables half the squared gradient estimates how far the objective is from its
minimum. The tolerance bounds that as a share of the objective: where classes are separable the
objective goes to zero with the penalty, and it is the little that remains of it that decides about
images not trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

MEMORY = 8
# steps after which the scaling is taken anew: far from its start it fits no longer
RESCALE = 50
# a step is long enough when the slope along it has fallen to this share
FLAT = 0.5
MAX_TRIALS = 20
# for choosing and scoring: the objective is then within about 2e-6 of its minimum, relatively
TOLERANCE = 2e-3
MAX_STEPS = 300
# an objective below this is rounding, or that of a class alone, which has no minimum
LEAST_LOSS = 1e-6
# for weights that are handed over
EXACT = 1e-5
EXACT_STEPS = 3000
BATCH_BYTES = 48 * 1024**2
Point = tuple[np.ndarray, np.ndarray]
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
    before_last: float | None = None,
    max_steps: int = MAX_STEPS,
) -> Iterator[Solution]:
    """Fit all problems at all penalties, some problems at a time so that memory stays bounded.

    Args:
        z: (n, r), float32 or float64, orthogonal columns; its dtype is that of the work.
        labels: int (n,), 0 to K−1.
        classes: K.
        masks: bool (B, n), the rows that each problem trains on, at least one.
        penalties: values of λ, in any order; cheapest from large to small.
        tolerance: on the norm of the scaled gradient of each problem, relative to the root of its
            objective where that is below 1.
        before_last: the tolerance at all penalties but the last, if those only lead up to it.
        max_steps: for each penalty; who needs more is returned as it is, not converged.

    Yields:
        Solutions of consecutive problems, all penalties (in the given order) before the next.
    """
    n, r = z.shape
    rows = np.hstack([z, np.ones((n, 1), z.dtype)])
    step = max(1, BATCH_BYTES // (z.itemsize * classes * max(n, r + 1)))
    for start in range(0, len(masks), step):
        part = slice(start, min(start + step, len(masks)))
        shape = part.stop - start, classes
        point = before = np.zeros((*shape, r + 1), z.dtype), np.zeros((*shape, n), z.dtype)
        for number, penalty in enumerate(penalties):
            problem = _Problems(rows, labels, masks[part], penalty)
            beyond = 2 * point[0] - before[0], 2 * point[1] - before[1]
            before, guess = point, problem.better(point, beyond)
            last = number == len(penalties) - 1
            wanted = tolerance if last or before_last is None else before_last
            weights, logits, converged = problem.minimise(*guess, wanted, max_steps)
            point = weights, logits
            yield Solution(part, number, weights[..., :-1], weights[..., -1], logits, converged)


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

    def better(self, one: Point, other: Point) -> Point:
        """Choose for each problem the point of lower objective."""
        losses = [self._losses(logits, self._inner(w, w))[0] for w, logits in (one, other)]
        worse = (losses[1] < losses[0])[:, None, None]
        return np.where(worse, other[0], one[0]), np.where(worse, other[1], one[1])

    def minimise(
        self, weights: np.ndarray, logits: np.ndarray, tolerance: float, max_steps: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give weights (b, K, r + 1), logits (b, K, n) and whether each problem converged.

        Args:
            weights: where to start.
            logits: those of the weights.
            tolerance: see :func:`solve`.
            max_steps: see :func:`solve`.
        """
        final, final_logits = weights, logits
        loss, errors = self._losses(logits, self._inner(weights, weights))
        gradient = np.empty(0)
        active = np.arange(len(weights))
        converged, done = np.zeros((2, len(active)), bool)
        history: list[Pair] = []
        for number in range(max_steps + 1):
            if number % RESCALE == 0:
                self._precondition(errors)
                gradient, history = self._gradient(weights, errors), []
            bound = tolerance * np.sqrt(np.clip(loss, LEAST_LOSS, 1.0))
            done |= np.sqrt(_dot(gradient, gradient)) <= bound
            # leaving costs a copy of everything: worth it for a good part of the problems
            if done.mean() > 0.2 or number == max_steps:
                final, final_logits = final.copy(), final_logits.copy()
                final[active], final_logits[active] = weights, logits
                converged[active] = done
                if done.all() or number == max_steps:
                    break
                stay = ~done
                active, weights, logits = active[stay], weights[stay], logits[stay]
                loss, gradient, done = loss[stay], gradient[stay], done[stay]
                history = [(s[stay], y[stay], rho[stay]) for s, y, rho in history]
                self.share, self.scale = self.share[stay], self.scale[stay]
            direction = -_two_loop(gradient, history)
            direction[done] = 0.0  # who waits stands still: the same result in any company
            weights, logits, loss, errors, step = self._search(weights, logits, gradient, direction)
            after = self._gradient(weights, errors)
            history = _remember(history, step, after - gradient)
            gradient = after
        return final, final_logits, converged

    def _product(self, weights: np.ndarray) -> np.ndarray:
        """Logits (b, K, n) of weights (b, K, r + 1)."""
        return _times(weights, self.z.T)

    def _inner(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """λ⟨A, B⟩ of each problem's kernels, float64 (b,)."""
        return self.penalty * _dot(a[..., :-1], b[..., :-1])

    def _precondition(self, errors: np.ndarray) -> None:
        """Scale each variable by the root of its own second derivative."""
        # p(1 − p), whether the class is the row's own (error p − 1) or not (error p)
        size = np.abs(errors)
        curvature = _times(self.share[:, None] * size * (1 - size), np.square(self.z))
        floor = 1e-8 * curvature.max(axis=2, keepdims=True) + np.finfo(errors.dtype).eps ** 2
        np.maximum(curvature, floor, out=curvature)
        curvature[..., :-1] += self.penalty
        self.scale = 1.0 / np.sqrt(curvature)

    def _losses(self, logits: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Objective of each problem, and its derivative by the logits of each row.

        Args:
            logits: (b, K, n).
            squares: λ‖W‖², (b,).

        Returns:
            The objective, float64 (b,), and softmax minus one for a row's own class (b, K, n). Both
            keep their digits where the probability of the own class is next to 1.
        """
        errors = logits - logits.max(axis=1)[:, None]
        given = errors[:, *self.own]
        np.exp(errors, out=errors)
        errors[:, *self.own] = 0.0
        others = errors.sum(axis=1)
        beyond = others + np.expm1(given)  # the sum over all classes, less 1
        errors[:, *self.own] = -others
        errors /= (1.0 + beyond)[:, None]
        value: np.ndarray = (self.share * (np.log1p(beyond) - given)).sum(axis=1, dtype=np.float64)
        return value + 0.5 * squares, errors

    def _gradient(self, weights: np.ndarray, errors: np.ndarray) -> np.ndarray:
        """Gradient in the scaled variables, (b, K, r + 1)."""
        result = _times(errors * self.share[:, None], self.z)
        result[..., :-1] += self.penalty * weights[..., :-1]
        result *= self.scale
        return result

    def _search(
        self,
        weights: np.ndarray,
        logits: np.ndarray,
        gradient: np.ndarray,
        direction: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Go along the direction to where the slope is small, each problem by itself.

        The objective is convex, so the sign of its slope says on which side the minimum lies; next
        to the minimum the slope still has digits where differences of the objective have none.

        Returns:
            The new weights, logits, losses and errors, and the step taken in scaled variables.
        """
        change = direction * self.scale
        change_logits = self._product(change)
        square, cross, change_square = (
            self._inner(a, b) for a, b in ((weights, weights), (weights, change), (change, change))
        )
        start = _dot(gradient, direction)
        low, low_slope, high = np.zeros_like(start), start, np.full_like(start, np.inf)
        length = np.ones_like(start)
        for _ in range(MAX_TRIALS):
            factor = length[:, None, None].astype(logits.dtype)
            tried = logits + factor * change_logits
            squares = square + 2 * length * cross + length**2 * change_square
            loss, errors = self._losses(tried, squares)
            rows = np.einsum("bkn,bkn->bn", errors, change_logits)
            slope = np.vecdot(self.share, rows) + cross + length * change_square
            far = np.abs(slope) > FLAT * np.abs(start)
            if not far.any():
                break
            guess = _zero(low, low_slope, length, slope)
            short = slope < 0
            low, low_slope = np.where(short, length, low), np.where(short, slope, low_slope)
            high = np.where(short, high, length)
            width = np.minimum(high, 4 * length) - low
            length = np.where(far, np.clip(guess, low + 0.1 * width, low + 0.9 * width), length)
        return weights + factor * change, tried, loss, errors, factor * direction


def _zero(a: np.ndarray, slope_a: np.ndarray, b: np.ndarray, slope_b: np.ndarray) -> np.ndarray:
    """Where the straight line through two slopes is zero; far beyond b if it hardly rises."""
    rise = np.maximum(slope_b - slope_a, 1e-6 * np.abs(slope_a) + np.finfo(slope_a.dtype).tiny)
    result: np.ndarray = a - slope_a * (b - a) / rise
    return result


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
