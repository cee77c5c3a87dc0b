"""Finds where the fitted learning curves of two heads cross, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from headfit.study.learning_curve.powerlaw import Forecast

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
