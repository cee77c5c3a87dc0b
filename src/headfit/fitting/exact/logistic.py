"""Logistic regression, many problems at once along a path of penalties.

Every problem b minimises over W (K, r) and an intercept c that is not penalised

    (1/n_b) Σ_{i in b} −log softmax(W z_i + c)_{y_i}  +  (λ/2) ‖W‖²

(a mean by weight where rows have weights; of several labels one problem for each, with a sigmoid
instead of the softmax) and differs from the others only in the rows that it
trains on. All share the matrix Z, so one matrix product serves many of them; scipy and scikit-learn
solve one problem at a time. Penalties are taken from large to small, each starting where the last
one ended, or where the last two point to if that is better: that halves the steps. Z is rotated so
that its columns are orthogonal (see :mod:`headfit.fitting.exact.coordinates`), which makes the
Hessian nearly diagonal: in variables scaled by the root of that diagonal, computed for each
penalty, L-BFGS needs few steps. Logits are linear in the step, so the line search costs no matrix
product.

In the scaled variables half the squared gradient estimates how far the objective is from its
minimum. The tolerance bounds that as a share of the objective: where classes are separable the
objective goes to zero with the penalty, and it is the little that remains of it that decides about
images not trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headfit.fitting.exact.lbfgs_memory import PairMemory
from headfit.fitting.rows import Rows
from headfit.fitting.threads import in_threads

# steps after which the scaling is computed again: far from where it was computed it no longer fits
RESCALE = 50
# a step will do when the slope along it, −1 at its start, is within these
SLOPES = -0.9, 0.5
MAX_TRIALS = 20
# for choosing among settings: the objective is then within about 2e-4 of its minimum, relatively
LOOSE = 2e-2
# for scoring: within about 1e-6
TOLERANCE = 1.5e-3
# for scoring labels, each a problem of its own that ends early by itself: probabilities to 1e-4
LABEL_TOLERANCE = 1e-4
MAX_STEPS = 300
# an objective below this is rounding, or that of a class alone, which has no minimum
LEAST_LOSS = 1e-6
# for the weights of a final model
EXACT = 1e-5
FLOAT32_EXACT = 3e-4  # the same where float32 is all there is room for
EXACT_STEPS = 3000
# problems that a thread takes on together: logits of about so many bytes stay in its cache, and
# matrix products of fewer rows are slow
CACHE_BYTES = 1024 * 1024
LEAST_ROWS = 64


@dataclass(frozen=True)
class Point:
    """Where some problems are.

    Attributes:
        weights: (b, K, r + 1), the intercept last.
        logits: (b, K, n), of all rows, also those not trained on.
        converged: bool (b,).
    """

    weights: np.ndarray
    logits: np.ndarray
    converged: np.ndarray

    def of(self, which: np.ndarray) -> Point:
        """Give some of them."""
        return Point(self.weights[which], self.logits[which], self.converged[which])

    def spread(self, variables: int) -> Point:
        """Give the same among more coordinates, which have no weight yet."""
        weights = np.zeros((*self.weights.shape[:2], variables), self.weights.dtype)
        few = self.weights.shape[2] - 1
        weights[..., :few], weights[..., -1] = self.weights[..., :-1], self.weights[..., -1]
        return Point(weights, self.logits, self.converged)

    def wide(self) -> Point:
        """Give the same in float64."""
        weights, logits = self.weights.astype(np.float64), self.logits.astype(np.float64)
        return Point(weights, logits, self.converged)

    def put(self, which: np.ndarray, other: Point) -> None:
        """Replace some of them."""
        self.weights[which], self.logits[which] = other.weights, other.logits
        self.converged[which] = other.converged


def origin(rows: Rows, problems: int) -> Point:
    """Give b problems at zero."""
    n, variables = rows.values.shape
    dtype = rows.values.dtype
    return Point(
        np.zeros((problems, rows.outputs, variables), dtype),
        np.zeros((problems, rows.outputs, n), dtype),
        np.zeros(problems, bool),
    )


class Path:
    """Problems on their way from large penalties to small ones.

    Args:
        rows: what all problems share.
        masks: bool (B, n), the rows that each problem trains on, at least one.
        max_steps: for each penalty; a problem that needs more stops, not converged.
    """

    def __init__(self, rows: Rows, masks: np.ndarray, max_steps: int = MAX_STEPS) -> None:
        self.rows, self.masks, self.max_steps = rows, masks, max_steps
        self._here, self._before = origin(rows, len(masks)), origin(rows, len(masks))

    def go(self, penalty: float | np.ndarray, which: np.ndarray, tolerance: float = LOOSE) -> Point:
        """Take some of the problems to the next penalty.

        Args:
            penalty: λ, smaller than before: one, or one of each problem, float64 (b,).
            which: int (b,), the problems; those left out cannot continue later.
            tolerance: on the norm of the scaled gradient of each problem, relative to the root of
                its objective where that is below 1.
        """
        here, before = self._here.of(which), self._before.of(which)
        beyond = Point(
            2 * here.weights - before.weights, 2 * here.logits - before.logits, here.converged
        )
        penalties = np.full(len(which), penalty, np.float64)
        point = minimise(
            self.rows, self.masks[which], penalties, (here, beyond), tolerance, self.max_steps
        )
        self._before.put(which, here)
        self._here.put(which, point)
        return point


def minimise(
    rows: Rows,
    masks: np.ndarray,
    penalties: np.ndarray,
    starts: Sequence[Point],
    tolerance: float = TOLERANCE,
    max_steps: int = MAX_STEPS,
) -> Point:
    """Solve b problems, in threads that take some each.

    Args:
        rows: what all problems share.
        masks: bool (b, n).
        penalties: λ of each problem, float64 (b,).
        starts: points to choose from; each problem begins at that of lowest objective.
        tolerance: see :meth:`Path.go`.
        max_steps: see :class:`Path`.
    """
    result = origin(rows, len(masks))
    each = 1 if rows.separate else rows.outputs

    def work(which: np.ndarray) -> None:
        many = which.repeat(rows.outputs) if rows.separate else which
        columns = np.tile(np.arange(rows.outputs), len(which))[: len(many)]
        problems = _Problems(rows, masks[many], penalties[many], columns)
        problems.begin([_cut(start.of(which), each) for start in starts])
        result.put(which, _joined(problems.solve(tolerance, max_steps), rows.outputs // each))

    size = rows.values.itemsize * rows.outputs * max(rows.values.shape)
    together = max(1, CACHE_BYTES // size, LEAST_ROWS // rows.outputs)
    in_threads(work, len(masks), together)
    return result


def _cut(point: Point, outputs: int) -> Point:
    """Make problems of some outputs each out of those of all."""
    weights, logits = (
        array.reshape(-1, outputs, array.shape[2]) for array in (point.weights, point.logits)
    )
    return Point(weights, logits, point.converged.repeat(point.weights.shape[1] // outputs))


def _joined(point: Point, together: int) -> Point:
    """Undo :func:`_cut`: all of so many must have converged."""
    weights, logits = (
        array.reshape(-1, together * array.shape[1], array.shape[2])
        for array in (point.weights, point.logits)
    )
    converged: np.ndarray = np.all(point.converged.reshape(-1, together), axis=1)
    return Point(weights, logits, converged)


class _Problems:
    """Some problems, minimised together.

    Arrays of variables have shape (b, K, r + 1), the intercept last, arrays of logits (b, K, n):
    the long axis comes last, so that sums over the few classes run over whole rows. Inner products
    are taken for each problem alone.
    """

    def __init__(
        self, rows: Rows, masks: np.ndarray, penalties: np.ndarray, columns: np.ndarray
    ) -> None:
        self.rows, self.columns = rows, columns
        self.share = rows.shares(masks)  # (b, n)
        self.penalty = penalties
        self.weights = self.logits = self.errors = self.scale = np.empty(0)
        self.loss = self.squares = np.empty(0)

    def begin(self, starts: Sequence[Point]) -> None:
        """Go to the start of lowest objective, each problem by itself."""
        best, *others = starts
        self._go(best.weights.copy(), best.logits.copy())
        for other in others:
            weights, logits = self.weights, self.logits
            lowest, errors, squares = self.loss, self.errors, self.squares
            self._go(other.weights, other.logits)
            better = self.loss < lowest
            each = better[:, None, None]
            self.weights = np.where(each, other.weights, weights)
            self.logits = np.where(each, other.logits, logits)
            self.errors = np.where(each, self.errors, errors)
            self.loss = np.where(better, self.loss, lowest)
            self.squares = np.where(better, self.squares, squares)

    def _go(self, weights: np.ndarray, logits: np.ndarray) -> None:
        self.weights, self.logits = weights, logits
        self.squares = self._inner(weights, weights)
        self.loss, self.errors = self.rows.losses(logits, self.share, self.columns)
        self.loss = self.loss + 0.5 * self.squares

    def solve(self, tolerance: float, max_steps: int) -> Point:
        """Minimise, and give where all problems ended."""
        final = Point(np.empty_like(self.weights), np.empty_like(self.logits), self.loss < 0)
        active, done = np.arange(len(self.loss)), np.zeros(len(self.loss), bool)
        for number in range(max_steps + 1):
            if number % RESCALE == 0:
                self._precondition()
                memory = PairMemory(self._gradient())
            bound = tolerance * np.sqrt(np.clip(self.loss, LEAST_LOSS, 1.0))
            done = done | (np.sqrt(memory.square) <= bound)
            last = done.all() or number == max_steps
            # removing problems copies everything: worth it once many are finished
            if last or done.mean() > 0.2:
                gone = done | last
                final.put(active[gone], Point(self.weights[gone], self.logits[gone], done[gone]))
                if last:
                    break
                active = active[~gone]
                self._keep(~gone)
                memory.select(~gone)
                done = done[~gone]
            direction, slope = memory.direction()
            # finished problems do not move: a result does not depend on the others
            direction[done] = 0.0
            length = self._search(direction.reshape(self.weights.shape), slope, done)
            memory.remember(length, direction, self._gradient())
        return final

    def _keep(self, which: np.ndarray) -> None:
        arrays = ("share", "penalty", "columns", "weights", "logits")
        for name in (*arrays, "squares", "loss", "errors", "scale"):
            setattr(self, name, getattr(self, name)[which])

    def _inner(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """λ⟨A, B⟩ of each problem's kernels, float64 (b,)."""
        products: np.ndarray = np.vecdot(a[..., :-1], b[..., :-1]).sum(axis=1, dtype=np.float64)
        scaled: np.ndarray = self.penalty * products
        return scaled

    def _precondition(self) -> None:
        """Scale each variable by the root of its own second derivative."""
        size = self.rows.curvature(self.errors)
        size *= self.share[:, None]
        curvature = self.rows.square_sums(size)
        floor = 1e-8 * curvature.max(axis=2, keepdims=True) + np.finfo(size.dtype).eps ** 2
        np.maximum(curvature, floor, out=curvature)
        curvature[..., :-1] += self.penalty[:, None, None]
        self.scale = 1.0 / np.sqrt(curvature)

    def _gradient(self) -> np.ndarray:
        """Gradient in the scaled variables, (b, K·(r + 1))."""
        result = self.rows.sums(self.errors * self.share[:, None])
        penalty = self.penalty[:, None, None].astype(result.dtype)
        result[..., :-1] += penalty * self.weights[..., :-1]
        result *= self.scale
        flat: np.ndarray = result.reshape(len(result), -1)
        return flat

    def _search(self, direction: np.ndarray, slope: np.ndarray, done: np.ndarray) -> np.ndarray:
        """Go along the direction to where the slope is small, each problem by itself.

        The objective is convex, so the sign of its slope says on which side the minimum lies; next
        to the minimum the slope still has digits where differences of the objective have none.

        Returns:
            The length of the step of each problem, float64 (b,).
        """
        change = direction * self.scale
        logits = self.rows.logits(change)
        cross, square = self._inner(self.weights, change), self._inner(change, change)
        length = np.ones(len(slope))
        low, low_slope, high = np.zeros_like(slope), slope.copy(), np.full_like(slope, np.inf)
        start, squares = self.logits, self.squares
        which = np.arange(len(slope))
        for number in range(MAX_TRIALS):
            everyone = number == 0  # as a rule one trial is enough, and copies nothing
            old, move, share = (
                values if everyone else values[which] for values in (start, logits, self.share)
            )
            t = length[which]
            tried = move * t[:, None, None].astype(move.dtype)
            tried += old
            loss, errors = self.rows.losses(tried, share, self.columns[which])
            total = squares[which] + 2 * t * cross[which] + t * t * square[which]
            now = np.vecdot(share, np.einsum("bkn,bkn->bn", errors, move))
            now = now + cross[which] + t * square[which]
            if everyone:
                self.logits, self.errors, self.loss = tried, errors, loss + 0.5 * total
                self.squares = total
            else:
                self.logits[which], self.errors[which] = tried, errors
                self.loss[which], self.squares[which] = loss + 0.5 * total, total
            lowest, highest = (-bound * slope[which] for bound in SLOPES)
            far = ((now < lowest) | (now > highest)) & ~done[which]
            if not far.any():
                break
            which, t, now = which[far], t[far], now[far]
            guess = _zero(low[which], low_slope[which], t, now)
            short = now < 0
            low[which] = np.where(short, t, low[which])
            low_slope[which] = np.where(short, now, low_slope[which])
            high[which] = np.where(short, high[which], t)
            width = np.minimum(high[which], 4 * t) - low[which]
            length[which] = np.clip(guess, low[which] + 0.1 * width, low[which] + 0.9 * width)
        change *= length[:, None, None].astype(change.dtype)
        self.weights = self.weights + change
        return length


def _zero(a: np.ndarray, slope_a: np.ndarray, b: np.ndarray, slope_b: np.ndarray) -> np.ndarray:
    """Where the straight line through two slopes is zero; far beyond b if it hardly rises."""
    rise = np.maximum(slope_b - slope_a, 1e-6 * np.abs(slope_a) + np.finfo(slope_a.dtype).tiny)
    result: np.ndarray = a - slope_a * (b - a) / rise
    return result
