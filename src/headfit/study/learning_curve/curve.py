"""Learning curves of linear heads: what more images would bring, and where two heads cross.

The penalty is chosen within each part, as cross-validation chooses it; on N images the errors are
those of cross-validation itself. A head keeps the shape of its pooling, as chosen for all images.

Sizes are numbers of images *trained on*. The largest, N, is a training part of the study's folds.
The finished model is trained on all images, somewhat more than N, so gains are counted from there.
Nothing is forecast beyond 4N.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from headfit.fitting.exact.coordinates import Coordinates
from headfit.fitting.exact.penalties import PATH_LEAST, PATH_SHARE
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import CrossValidation, Problem
from headfit.progress import SILENT, Progress
from headfit.study.comparison.compare import corrected_interval
from headfit.study.comparison.contrast import ALPHA
from headfit.study.learning_curve.powerlaw import (
    REACH,
    ErrorCurve,
    Forecast,
    Interval,
    Refusal,
    refusal,
)
from headfit.study.protocol.subsets import Subsets, errors_of, make_subsets

# sizes, in a geometric sequence, between which the curves are compared
STEPS = 400
# share of the resampled curves that must cross in the same way
SURE = 0.95


@dataclass(frozen=True)
class Crossing:
    """Where one curve falls below another.

    Attributes:
        size: number of images.
        low: lower end of the 95 % interval of ``size``, over the resampled curves that cross.
        high: upper end.
        first_before: whether the first of the two is the better one at smaller sizes.
        share: share of the resampled curves that cross exactly once, in this direction.
    """

    size: float
    low: float
    high: float
    first_before: bool
    share: float

    @property
    def sure(self) -> bool:
        """Whether the crossing is certain enough to be reported."""
        return self.share >= SURE


def crossing(first: Forecast, second: Forecast, least: float, limit: float) -> Crossing | None:
    """Find where two curves of the same seeds cross, if they cross once between two sizes."""
    sizes = np.geomspace(least, limit, STEPS)
    place, before = _changes(first.law.at(sizes) - second.law.at(sizes), sizes)
    if math.isnan(place[0]):
        return None
    places, befores = _changes(first.drawn.at(sizes) - second.drawn.at(sizes), sizes)
    alike = ~np.isnan(places) & (befores == before[0])
    if not alike.any():
        return Crossing(float(place[0]), least, limit, bool(before[0]), 0.0)
    low, high = np.quantile(places[alike], (0.025, 0.975))
    return Crossing(float(place[0]), float(low), float(high), bool(before[0]), float(alike.mean()))


def differ(one: ErrorCurve, other: ErrorCurve) -> bool:
    """Tell whether two curves of the same seeds are apart beyond the noise at either end.

    The corrected test of the verdict, on the smallest and the largest size.
    """
    ends = (one.errors - other.errors)[:, [0, -1]].T
    confidence = 1 - ALPHA / 2  # of two tests
    intervals = [corrected_interval(d, one.independent, confidence=confidence) for d in ends]
    return any(low > 0 or high < 0 for _, low, high in intervals)


def _changes(apart: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find where each row (m, j) changes sign, nan unless once, and whether it began below 0."""
    below = apart < 0
    changed = (below[:, 1:] != below[:, :-1]) & (apart[:, 1:] != apart[:, :-1])
    at = changed.argmax(axis=1)
    rows = np.arange(len(apart))
    left, right = apart[rows, at], apart[rows, at + 1]
    rise = np.where(right != left, right - left, 1.0)
    share = np.clip(-left / rise, 0, 1)  # of the way, where the sign changes
    logs = np.log(sizes)
    places = np.exp(logs[at] + share * (logs[at + 1] - logs[at]))
    return np.where(changed.sum(axis=1) == 1, places, np.nan), below[:, 0]


# models × classes × images × coordinates of a head: a minute on two cores. Choosing the penalty in
# each part takes up to three times as long as one penalty for all: for 1,000 images of ten classes
# flatten took 9 seconds of one core instead of 3, gap 3 instead of 2
MOST_WORK = 8e9
# of the path: inner models for one of the part
MODELS = 5
# training parts may be larger than N by this share where their errors stand for N
ALIKE = 1.02


@dataclass(frozen=True)
class HeadCurve:
    """The curve of one head.

    Attributes:
        name: name of the head.
        shape: shape parameter of the pooling, if it has one.
        measured: errors (1 − score) at each size for each seed.
        forecast: the fitted law; None if there is no forecast.
        refusal: why there is none; None if there is one.
    """

    name: str
    shape: float | None
    measured: ErrorCurve
    forecast: Forecast | None
    refusal: Refusal | None

    @classmethod
    def of(cls, name: str, shape: float | None, measured: ErrorCurve, seed: int = 0) -> HeadCurve:
        """Fit a law to the measured errors, or find out why none can be."""
        reason = refusal(measured, seed)
        forecast = None if reason else Forecast.of(measured, seed)
        return cls(name, shape, measured, forecast, reason)


@dataclass(frozen=True)
class WorkLimit:
    """How the work on one head was bounded.

    Attributes:
        head: its name.
        coordinates: how many were used, where they hold less of the variance than usual; else None.
        share: of the variance that the coordinates hold, a fraction.
        unfinished: number of fits that ran out of steps.
    """

    head: str
    coordinates: int | None
    share: float
    unfinished: int

    @property
    def matters(self) -> bool:
        """Whether anything was bounded."""
        return self.coordinates is not None or self.unfinished > 0


@dataclass(frozen=True)
class LearningCurve:
    """Curves of several heads on the same parts.

    Attributes:
        images: number of images of the study, n.
        heads: curves of the heads.
        limits: how the work was bounded.
        metric: name of the primary metric, of which an error is 1 less the score.
        least: its least value; None where there is none.
    """

    images: int
    heads: list[HeadCurve]
    limits: list[WorkLimit]
    metric: str = "balanced_accuracy"
    least: float | None = 0.0

    @property
    def training_images(self) -> int:
        """N, the largest number of images that was trained on."""
        return int(self.heads[0].measured.sizes[-1])

    def crossings(self) -> list[tuple[HeadCurve, HeadCurve, Crossing]]:
        """List where forecast curves cross: the head overtaken, the one overtaking, and where.

        Curves that are alike cross somewhere by chance; that says nothing, and is left out.
        """
        crossings = []
        for one, other in combinations(self.heads, 2):
            if one.forecast is None or other.forecast is None:
                continue
            if not differ(one.measured, other.measured):
                continue
            least = float(one.measured.sizes[0])
            place = crossing(one.forecast, other.forecast, least, one.forecast.limit)
            if place:
                # who was better before is worse after
                pair = (one, other) if place.first_before else (other, one)
                crossings.append((*pair, place))
        return crossings

    def more(self) -> int:
        """Give the number of additional images that gains are for: n, or what 4N allows, or 0."""
        limit = REACH * self.training_images
        return _two_digits(min(self.images, limit - self.images))

    def to_dict(self) -> dict[str, Any]:
        """Give plain data that JSON can hold, without words; scores are fractions."""
        return {
            "metric": self.metric,
            "images": self.images,
            "training_images": self.training_images,
            "seeds": len(self.heads[0].measured.errors),
            "heads": [self._head(head) for head in self.heads],
            "crossings": [
                {
                    "images": place.size,
                    "low": place.low,
                    "high": place.high,
                    "overtaking": winner.name,
                    "overtaken": loser.name,
                    "share": place.share,
                    "sure": place.sure,
                }
                for loser, winner, place in self.crossings()
            ],
        }

    def _head(self, head: HeadCurve) -> dict[str, Any]:
        forecast, n = head.forecast, self.images
        measured = zip(
            head.measured.sizes.tolist(),
            head.measured.intervals(),
            head.measured.errors.T,
            strict=True,
        )
        data: dict[str, Any] = {
            "name": head.name,
            "shape": head.shape,
            "points": [
                {"images": size, **_score(interval, self.least), "values": (1 - errors).tolist()}
                for size, interval, errors in measured
            ],
            "law": None,
            "forecast": None,
            "gain": None,
        }
        if forecast:
            sizes = [s for s in (n, n * 3 // 2, 2 * n, 3 * n) if s < forecast.limit]
            data["law"] = {name: i._asdict() for name, i in forecast.parameters().items()}
            data["forecast"] = [
                {"images": size, **_score(forecast.error(size), self.least)}
                for size in (*sizes, forecast.limit)
            ]
        if forecast and self.more():
            gain = forecast.gain(n, n + self.more())
            data["gain"] = {"more_images": self.more(), **gain._asdict()}
        return data


def learning_curve(
    fits: Sequence[CrossValidation],
    pooled: PooledFeatures,
    problem: Problem,
    groups: np.ndarray | None = None,
    progress: Progress = SILENT,
) -> LearningCurve:
    """Measure the curves of linear heads, and forecast them where that can be done.

    Args:
        fits: cross-validations of at least one head.
        pooled: features of the n images.
        problem: labels and folds.
        groups: int (n,), equal for images that folds keep together; None if there are none.
        progress: reports the fraction done.
    """
    subsets, seed = make_subsets(problem, groups), problem.splits.seed
    curves: list[HeadCurve] = []
    limits: list[WorkLimit] = []
    for number, fit in enumerate(fits):
        name, shape = fit.head.name, fit.final["shape"]
        coordinates = pooled.coordinates(fit.head.pooling, shape)
        few = _bounded(coordinates, problem, subsets)
        fewer = few if few < coordinates.z.shape[1] else None
        known = None if fewer else _cross_validated(fit, problem, subsets)
        errors, stopped = errors_of(
            coordinates.leading(few), problem, subsets, known, progress.part(number, len(fits))
        )
        independent = max(2, min(len(errors), problem.splits.folds))
        measured = ErrorCurve(subsets.sizes, errors, independent)
        curves.append(HeadCurve.of(name, shape, measured, seed))
        limits.append(WorkLimit(name, fewer, float(coordinates.moments[:few].sum()), stopped))
    bounded = [each for each in limits if each.matters]
    metric = problem.kind.primary
    least = problem.kind.bounds(metric)[0]
    return LearningCurve(len(problem.targets), curves, bounded, metric, least)


def _cross_validated(fit: CrossValidation, problem: Problem, subsets: Subsets) -> np.ndarray:
    """Take the errors on N images from the study's folds; nan elsewhere, (seeds, j)."""
    errors = np.full((len(subsets.held), len(subsets.sizes)), np.nan)
    units = problem.splits.units[: len(errors)]
    for seed, (repeat, fold) in enumerate(units):
        if len(subsets.orders[seed]) <= ALIKE * subsets.sizes[-1]:
            held = problem.splits.held_out(repeat, fold)
            errors[seed, -1] = 1 - problem.score_part(fit.probabilities[repeat, held], held)
    return errors


def _bounded(coordinates: Coordinates, problem: Problem, subsets: Subsets) -> int:
    """Choose how many coordinates to use, so that fitting takes a minute at most."""
    every = coordinates.z.shape[1]
    few = int(np.searchsorted(np.cumsum(coordinates.moments), PATH_SHARE)) + 1
    each = MODELS * problem.targets.count * len(subsets.held)
    most = int(MOST_WORK / (each * subsets.images))
    return every if most >= few else max(most, PATH_LEAST)


def _score(error: Interval, least: float | None) -> dict[str, float]:
    """Turn an error into a score, which has this least value."""
    low, high = 1 - error.high, min(1.0, 1 - error.low)
    low = low if least is None else max(least, low)
    return {"mean": 1 - error.mean, "low": low, "high": high}


def _two_digits(value: float) -> int:
    """Round down to two digits; 0 if it is less than 1."""
    if value < 1:
        return 0
    unit = 10 ** max(0, int(math.log10(value)) - 1)
    return int(value // unit * unit)
