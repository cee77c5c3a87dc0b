"""Learning curves of linear heads: what more images would bring, and where two heads cross.

A head keeps the shape of its pooling and its penalty, as chosen for all images; the penalty is that
of a fixed Gaussian prior on the weights, so that on n images λ_n = λ·N/n.

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
from headfit.fitting.problem import Problem
from headfit.heads.chain import Head
from headfit.progress import SILENT, Progress
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


def _changes(apart: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find where each row (m, j) changes sign, nan unless once, and whether it began below 0."""
    below = apart < 0
    changed = (below[:, 1:] != below[:, :-1]) & (apart[:, 1:] != apart[:, :-1])
    at = changed.argmax(axis=1)
    rows = np.arange(len(apart))
    left, right = apart[rows, at], apart[rows, at + 1]
    rise = np.where(right != left, right - left, 1.0)
    logs = np.log(sizes)
    places = np.exp(logs[at] - left / rise * (logs[at + 1] - logs[at]))
    return np.where(changed.sum(axis=1) == 1, places, np.nan), below[:, 0]


# The penalty of a part. Hands showing digits, MobileNet: error in % with λ·N/n, with the same λ for
# all sizes, and with that of 8 penalties whose log-loss on the held-out folds is least, which no
# rule may know:
#   600 photographs    n = 24   48   95   191  382      1,000     n = 28   56   112  225  450  900
#   gap, λ·N/n         37.5 25.9 16.4 11.9 9.5                    33.9 19.8 14.2  9.5  6.0  5.9
#        λ             38.1 25.8 16.5 12.0 9.5                    34.1 20.2 14.3  9.7  6.0  5.9
#        the best      37.9 26.0 16.2 11.7 9.8                    33.9 20.2 14.4  9.5  6.1  5.8
#   flatten, λ·N/n     32.0 17.7  9.5  5.6 3.2                    28.8 13.9 10.3  4.9  2.8  1.8
#            the best  33.2 17.7  9.6  5.7 3.3                    28.8 14.0 10.4  4.9  3.0  2.0
# (standard errors 0.5 to 1.9). Choosing again for every part would cost several times as much and
# change nothing that can be seen.
# problems × classes × images × coordinates of a head: some 10 s on two cores
MOST_WORK = 8e9


@dataclass(frozen=True)
class HeadCurve:
    """The curve of one head.

    Attributes:
        name: name of the head.
        penalty: λ on N images.
        shape: shape parameter of the pooling, if it has one.
        measured: errors (1 − balanced accuracy) at each size for each seed.
        forecast: the fitted law; None if there is no forecast.
        refusal: why there is none; None if there is one.
    """

    name: str
    penalty: float
    shape: float | None
    measured: ErrorCurve
    forecast: Forecast | None
    refusal: Refusal | None

    @classmethod
    def of(
        cls, name: str, penalty: float, shape: float | None, measured: ErrorCurve, seed: int = 0
    ) -> HeadCurve:
        """Fit a law to the measured errors, or find out why none can be."""
        reason = refusal(measured, seed)
        forecast = None if reason else Forecast.of(measured, seed)
        return cls(name, penalty, shape, measured, forecast, reason)


@dataclass(frozen=True)
class WorkLimit:
    """How the work on one head was bounded.

    Attributes:
        head: its name.
        coordinates: how many were used, where they hold less of the variance than usual; else None.
        share: of the variance that the coordinates hold, a fraction.
        unfinished: number of fits that ran out of steps.
        halved: whether sizes were halved from one to the next, instead of divided by √2.
    """

    head: str
    coordinates: int | None
    share: float
    unfinished: int
    halved: bool

    @property
    def matters(self) -> bool:
        """Whether anything was bounded."""
        return self.coordinates is not None or self.unfinished > 0 or self.halved


@dataclass(frozen=True)
class LearningCurve:
    """Curves of several heads on the same parts.

    Attributes:
        images: number of images of the study, n.
        heads: curves of the heads.
        limits: how the work was bounded.
    """

    images: int
    heads: list[HeadCurve]
    limits: list[WorkLimit]

    @property
    def training_images(self) -> int:
        """N, the largest number of images that was trained on."""
        return int(self.heads[0].measured.sizes[-1])

    def crossings(self) -> list[tuple[HeadCurve, HeadCurve, Crossing]]:
        """List where forecast curves cross: the head overtaken, the one overtaking, and where."""
        crossings = []
        for one, other in combinations(self.heads, 2):
            if one.forecast is None or other.forecast is None:
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
            "penalty": head.penalty,
            "shape": head.shape,
            "points": [
                {"images": size, **_score(interval), "values": (1 - errors).tolist()}
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
                {"images": size, **_score(forecast.error(size))}
                for size in (*sizes, forecast.limit)
            ]
        if forecast and self.more():
            gain = forecast.gain(n, n + self.more())
            data["gain"] = {"more_images": self.more(), **gain._asdict()}
        return data


def learning_curve(
    heads: Sequence[tuple[Head, float, float | None]],
    pooled: PooledFeatures,
    problem: Problem,
    groups: np.ndarray | None = None,
    progress: Progress = SILENT,
) -> LearningCurve:
    """Measure the curves of linear heads, and forecast them where that can be done.

    Args:
        heads: at least one head, each with its penalty λ and its pooling's shape parameter.
        pooled: features of the n images.
        problem: labels and folds.
        groups: int (n,), equal for images that folds keep together; None if there are none.
        progress: reports the fraction done.
    """
    subsets, seed = make_subsets(problem, groups), problem.splits.seed
    curves: list[HeadCurve] = []
    limits: list[WorkLimit] = []
    for number, (head, penalty, shape) in enumerate(heads):
        coordinates = pooled.coordinates(head.pooling, shape)
        used, few = _bounded(coordinates, problem, subsets, groups)
        errors, stopped = errors_of(
            coordinates.z[:, :few], problem, used, penalty, progress.part(number, len(heads))
        )
        independent = max(2, min(len(errors), problem.splits.folds))
        measured = ErrorCurve(used.sizes, errors, independent)
        curves.append(HeadCurve.of(head.name, penalty, shape, measured, seed))
        share = float(coordinates.moments[:few].sum())
        fewer = few if share < PATH_SHARE else None
        limits.append(WorkLimit(head.name, fewer, share, stopped, used is not subsets))
    return LearningCurve(len(problem.targets), curves, [each for each in limits if each.matters])


def _bounded(
    coordinates: Coordinates, problem: Problem, subsets: Subsets, groups: np.ndarray | None
) -> tuple[Subsets, int]:
    """Choose how many coordinates to use, and leave out sizes, so that fitting takes seconds.

    The coordinates that hold 99 % of the variance are used, as in the choice of the penalty.
    """
    few = int(np.searchsorted(np.cumsum(coordinates.moments), PATH_SHARE)) + 1
    few = min(max(few, PATH_LEAST), coordinates.z.shape[1])
    each = len(problem.targets) * problem.targets.count * len(subsets.held)
    if each * len(subsets.sizes) * few > MOST_WORK:
        subsets = make_subsets(problem, groups, halve=True)
    most = int(MOST_WORK / (each * len(subsets.sizes)))
    return subsets, min(few, max(most, PATH_LEAST))


def _score(error: Interval) -> dict[str, float]:
    """Turn an error into a balanced accuracy."""
    low, high = max(0.0, 1 - error.high), min(1.0, 1 - error.low)
    return {"mean": 1 - error.mean, "low": low, "high": high}


def _two_digits(value: float) -> int:
    """Round down to two digits; 0 if it is less than 1."""
    if value < 1:
        return 0
    unit = 10 ** max(0, int(math.log10(value)) - 1)
    return int(value // unit * unit)
