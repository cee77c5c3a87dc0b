"""Power laws of the error: err(n) = a·n^(−b) + c, and how far to trust them.

For a fixed b the best a ≥ 0 and c ≥ 0 are those of a least-squares problem in two variables, which
has a closed form; b is taken from a grid. So a fit needs no start and cannot fail, and a thousand
of them take some milliseconds: the errors were measured with several seeds, and fits to resampled
seeds show how uncertain a forecast is. With few seeds such a bootstrap is too narrow; resampled
means are spread by as much as Student's interval of a mean is wider.

There is no forecast where it would already have failed: if the curve up to half of the images does
not predict what was measured on all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from headfit.fitting.threads import one_thread

EXPONENTS = np.geomspace(0.05, 2.0, 100)
RESAMPLES = 1000
# images beyond which nothing is forecast, as a multiple of those measured
REACH = 4
LEAST_SIZES = 4
# a standard error below this share of the usual one is not believed
LEAST_NOISE = 0.25
ROUNDING = 1e-9
# one-sided level of the test that errors fall at all
FALLS = 0.995


class Interval(NamedTuple):
    """An estimate with a 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Laws:
    """Some power laws; a, b and c are float64 (m,)."""

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray

    def at(self, sizes: np.ndarray | Sequence[float] | float) -> np.ndarray:
        """Give the errors at j sizes, float64 (m, j)."""
        powers = np.atleast_1d(np.asarray(sizes, np.float64)) ** -self.b[:, None]
        result: np.ndarray = self.a[:, None] * powers + self.c[:, None]
        return result


def fit(
    sizes: np.ndarray, errors: np.ndarray, weights: np.ndarray, limit: float = math.inf
) -> Laws:
    """Fit a law to each of m curves by weighted least squares.

    Args:
        sizes: numbers of images, (j,).
        errors: not negative, float64 (m, j).
        weights: positive weight of each size, float64 (j,).
        limit: number of images, beyond the sizes, up to which the error must not be negative;
            infinity means c >= 0.
    """
    scale = float(np.max(sizes))  # powers of sizes near 1 keep their digits
    x = (np.asarray(sizes) / scale) ** -EXPONENTS[:, None]  # (exponents, j)
    last = (limit / scale) ** -EXPONENTS
    x = x - last[:, None]  # and c becomes the error at the limit
    w = weights / weights.sum()
    centre = x @ w
    deviations = x - centre[:, None]
    spread = (deviations**2) @ w
    mean = errors @ w  # (m,)
    slopes = ((deviations * w) @ errors.T) / spread[:, None]  # (exponents, m)
    constants = mean - slopes * centre[:, None]
    # the minimum without bounds, or that on the bound that it violates; errors and x are not
    # negative, so c = 0 leaves a >= 0 and a = 0 leaves c >= 0
    through = ((x * w) @ errors.T) / ((x**2) @ w)[:, None]
    slopes = np.where(constants < 0, through, slopes)
    constants = np.maximum(constants, 0.0)
    constants = np.where(slopes < 0, mean, constants)
    slopes = np.maximum(slopes, 0.0)
    # the weighted mean square of errors − c − a·x, in terms of deviations from the means
    offset = mean - constants - slopes * centre[:, None]
    varied = errors - mean[:, None]
    cross = (deviations * w) @ varied.T
    squares = slopes**2 * spread[:, None] - 2 * slopes * cross + offset**2
    best = squares.argmin(axis=0), np.arange(len(errors))
    b = EXPONENTS[best[0]]
    return Laws(slopes[best] * scale**b, b, constants[best] - slopes[best] * last[best[0]])


@dataclass(frozen=True)
class ErrorCurve:
    """Errors at growing sizes, measured with several seeds.

    Attributes:
        sizes: int (j,), ascending.
        errors: float64 (seeds, j), one value for each seed and size.
        independent: number of seeds that were tested on separate images; more seeds than that add
            little information, so they make no interval narrower.
    """

    sizes: np.ndarray
    errors: np.ndarray
    independent: int

    def __post_init__(self) -> None:
        if self.errors.shape[1:] != self.sizes.shape or len(self.errors) < 2:
            raise ValueError(f"errors must be (seeds >= 2, sizes), not {self.errors.shape}.")
        if self.independent < 2 or not np.isfinite(self.errors).all() or (self.errors < 0).any():
            raise ValueError("errors must be finite and not negative, independent at least 2.")

    @property
    def spread(self) -> np.ndarray:
        """Standard error of the mean at each size, float64 (j,)."""
        seeds = min(len(self.errors), self.independent)
        result: np.ndarray = self.errors.std(axis=0, ddof=1) / math.sqrt(seeds)
        return result

    @property
    def noise(self) -> np.ndarray:
        """The standard errors, smoothed by a power law of the size.

        Otherwise sizes that happen to have few errors, and so a small spread, would weigh most in a
        fit.

        Raises:
            ValueError: the seeds agree everywhere.
        """
        spread = self.spread
        if not (spread > ROUNDING).any():
            raise ValueError("errors without any noise say nothing about their uncertainty.")
        usual = float(np.median(spread[spread > ROUNDING]))
        logs = np.log(self.sizes)
        line = np.polyfit(logs, np.log(np.maximum(spread, LEAST_NOISE * usual)), 1)
        result: np.ndarray = np.exp(np.polyval(line, logs))
        return result

    @property
    def student(self) -> float:
        """Student's quantile: half of the interval's width in standard errors."""
        return float(stdtrit(min(len(self.errors), self.independent) - 1, 0.975))

    def intervals(self) -> list[Interval]:
        """Give the mean error at each size."""
        reach = self.student * self.spread
        means = self.errors.mean(axis=0)
        return [
            Interval(float(m), max(0.0, float(m - r)), min(1.0, float(m + r)))
            for m, r in zip(means, reach, strict=True)
        ]

    def upto(self, size: float) -> ErrorCurve:
        """Give the part of the curve up to a size."""
        some = self.sizes <= size
        return ErrorCurve(self.sizes[some], self.errors[:, some], self.independent)

    def resampled(self, seed: int) -> np.ndarray:
        """Draw seeds with replacement; equal ``seed`` draws the same ones for every head.

        Returns:
            Mean errors float64 (resamples, j), not negative.
        """
        seeds = len(self.errors)
        counts = np.random.default_rng(seed).multinomial(
            seeds, np.full(seeds, 1 / seeds), RESAMPLES
        )
        mean = self.errors.mean(axis=0)
        # from the spread of a bootstrap to that of Student's interval
        wider = self.student / 1.96 * math.sqrt(seeds / (seeds - 1))
        wider *= math.sqrt(max(1.0, seeds / self.independent))
        drawn: np.ndarray = np.maximum(mean + wider * (counts @ self.errors / seeds - mean), 0.0)
        return drawn


@dataclass(frozen=True)
class Forecast:
    """A fitted law, and laws fitted to resampled seeds.

    Attributes:
        law: fitted to the means.
        drawn: fitted to resampled seeds, once with c >= 0 and once only with errors that are not
            negative up to the limit.
        largest: largest size that was measured; forecasts reach four times as far.
    """

    law: Laws
    drawn: Laws
    largest: int

    @classmethod
    def of(cls, measured: ErrorCurve, seed: int = 0) -> Forecast:
        """Fit to errors at two or more sizes, with some noise at one of them at least."""
        with one_thread():  # the products are small: several threads would wait for each other
            return cls._of(measured, seed)

    @classmethod
    def _of(cls, measured: ErrorCurve, seed: int) -> Forecast:
        weights = 1 / measured.noise**2
        law = fit(measured.sizes, measured.errors.mean(axis=0)[None], weights)
        largest = int(measured.sizes[-1])
        # Where the best c is 0 it lies at the edge of what either bound alone makes of the seeds,
        # and so would the estimate in its interval: with c >= 0 alone, 80 % of 95 % intervals held
        # the true gain. An interval spans both.
        means = measured.resampled(seed)
        drawn = [fit(measured.sizes, means, weights, end) for end in (math.inf, REACH * largest)]
        both = Laws(*(np.concatenate([getattr(laws, name) for laws in drawn]) for name in "abc"))
        return cls(law, both, largest)

    @property
    def limit(self) -> int:
        """Largest number of images that can be forecast."""
        return REACH * self.largest

    def error(self, size: float) -> Interval:
        """Forecast the error of a head trained on ``size`` images.

        Raises:
            ValueError: ``size`` is beyond the limit.
        """
        self._check(size)
        return _interval(self.law.at(size)[0, 0], np.clip(self.drawn.at(size)[:, 0], 0.0, 1.0))

    def gain(self, size: float, larger: float) -> Interval:
        """Forecast by how much the error falls from one size to a larger one.

        Raises:
            ValueError: ``size`` is beyond the limit.
        """
        self._check(max(size, larger))
        (law, drawn) = (laws.at([size, larger]) for laws in (self.law, self.drawn))
        return _interval(law[0, 0] - law[0, 1], drawn[:, 0] - drawn[:, 1])

    def parameters(self) -> dict[str, Interval]:
        """Give a, b and c."""
        values = zip("abc", (self.law.a, self.law.b, self.law.c), strict=True)
        drawn = (self.drawn.a, self.drawn.b, np.maximum(self.drawn.c, 0.0))
        return {
            name: _interval(value[0], spread)
            for (name, value), spread in zip(values, drawn, strict=True)
        }

    def _check(self, size: float) -> None:
        if not 0 < size <= self.limit:
            raise ValueError(f"Forecasts are for 1 to {self.limit} images, not {size:g}.")


@dataclass(frozen=True)
class Refusal:
    """Why nothing can be forecast.

    Attributes:
        reason: ``"few_sizes"``, ``"no_fall"``, ``"no_noise"`` or ``"not_predicted"``.
        sizes: number of sizes up to half of the largest.
        half: the largest of those; 0 if there is none.
        smallest: the smallest size.
        largest: the largest size.
        errors: mean error at the smallest and at the largest size.
        predicted: error that the first half predicts at the largest size; None if it was not asked.
    """

    reason: str
    sizes: int
    half: int
    smallest: int
    largest: int
    errors: tuple[float, float]
    predicted: Interval | None = None


def refusal(measured: ErrorCurve, seed: int = 0) -> Refusal | None:
    """Find out why nothing can be forecast; None if it can."""
    sizes, means = measured.sizes, measured.errors.mean(axis=0)
    half = measured.upto((int(sizes[-1]) + 1) / 2)
    reason, prediction = "", None
    if len(half.sizes) < LEAST_SIZES:
        reason = "few_sizes"
    elif not _falls(measured):
        reason = "no_fall"
    elif not (half.spread > ROUNDING).any():
        reason = "no_noise"
    else:
        prediction = predicted(measured, seed)
        if not prediction.low <= means[-1] <= prediction.high:
            reason = "not_predicted"
    if not reason:
        return None
    last = int(half.sizes[-1]) if len(half.sizes) else 0
    ends = float(means[0]), float(means[-1])
    return Refusal(reason, len(half.sizes), last, int(sizes[0]), int(sizes[-1]), ends, prediction)


def predicted(measured: ErrorCurve, seed: int = 0) -> Interval:
    """Predict the error at the largest size from the sizes up to half of it.

    The interval includes the noise of the measurement.
    """
    largest = int(measured.sizes[-1])
    mean, low, high = Forecast.of(measured.upto((largest + 1) / 2), seed).error(largest)
    noise = measured.student * float(measured.noise[-1])
    below, above = math.hypot(mean - low, noise), math.hypot(high - mean, noise)
    return Interval(mean, max(0.0, mean - below), min(1.0, mean + above))


def _falls(measured: ErrorCurve) -> bool:
    """Test whether the error falls with the logarithm of the size."""
    logs = np.log(measured.sizes)
    logs = logs - logs.mean()
    slopes = measured.errors @ logs / (logs @ logs)
    seeds = min(len(slopes), measured.independent)
    se = float(slopes.std(ddof=1)) / math.sqrt(seeds)
    return bool(slopes.mean() < -float(stdtrit(seeds - 1, FALLS)) * se)


def _interval(value: float, drawn: np.ndarray) -> Interval:
    """Span the intervals of both halves of the resampled laws, and the estimate."""
    low, high = np.quantile(drawn.reshape(2, -1), (0.025, 0.975), axis=1)
    return Interval(
        float(value), min(*low.tolist(), float(value)), max(*high.tolist(), float(value))
    )
