"""The part of the reliability that a finished model stores, for each kind of target."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.images.targets import CLASS, LABELS, NUMBER
from headfit.study.reliability.outliers import OutlierDetector

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class ModelReliability:
    """Temperature and thresholds of a model.

    Attributes:
        temperature: T of :mod:`headfit.study.reliability.calibration`, above 0.
        level: share of images whose prediction set should contain their class.
        quantile: threshold of those sets, 0 to 1; see :mod:`headfit.study.reliability.conformal`.
        detector: detects images that are unlike the training images.
    """

    temperature: float
    level: float
    quantile: float
    detector: OutlierDetector

    def to_data(self) -> tuple[dict[str, Any], Arrays]:
        """Give plain data that JSON can hold, and named float32 arrays."""
        facts, arrays = self.detector.to_data()
        data = {
            "temperature": self.temperature,
            "conformal": {"level": self.level, "quantile": self.quantile},
            "outlier": facts,
        }
        return data, arrays

    @classmethod
    def from_data(cls, data: dict[str, Any], arrays: Arrays) -> ModelReliability:
        """Rebuild from :meth:`to_data`, checking every value.

        Raises:
            ValueError, KeyError, TypeError: a value is missing or impossible.
        """
        temperature = float(data["temperature"])
        level, quantile = (float(data["conformal"][name]) for name in ("level", "quantile"))
        if not 0 < temperature < math.inf or not 0 < level < 1 or not 0 <= quantile <= 1:
            raise ValueError("its temperature or prediction sets are out of range")
        return cls(temperature, level, quantile, OutlierDetector.from_data(data["outlier"], arrays))


@dataclass(frozen=True, eq=False)
class LabelReliability:
    """Temperatures and thresholds of a model for several labels.

    Attributes:
        temperatures: float64 (K,), T of each label, above 0.
        thresholds: float64 (K,), the probability, as the network gives it, from which on a label
            is said to be there, 0 to 1.
        detector: detects images that are unlike the training images.
    """

    temperatures: np.ndarray
    thresholds: np.ndarray
    detector: OutlierDetector

    def to_data(self) -> tuple[dict[str, Any], Arrays]:
        """Give plain data that JSON can hold, and named float32 arrays."""
        facts, arrays = self.detector.to_data()
        data = {
            "kind": LABELS,
            "temperatures": self.temperatures.tolist(),
            "thresholds": self.thresholds.tolist(),
            "outlier": facts,
        }
        return data, arrays

    @classmethod
    def from_data(cls, data: dict[str, Any], arrays: Arrays) -> LabelReliability:
        """Rebuild from :meth:`to_data`, checking every value.

        Raises:
            ValueError, KeyError, TypeError: a value is missing or impossible.
        """
        temperatures, thresholds = (
            np.array([float(value) for value in data[name]])
            for name in ("temperatures", "thresholds")
        )
        fine = (temperatures > 0) & np.isfinite(temperatures)
        if len(temperatures) != len(thresholds) or not fine.all():
            raise ValueError("its temperatures are out of range")
        if not ((thresholds >= 0) & (thresholds <= 1)).all():
            raise ValueError("its thresholds are out of range")
        return cls(temperatures, thresholds, OutlierDetector.from_data(data["outlier"], arrays))


@dataclass(frozen=True, eq=False)
class NumberReliability:
    """Intervals of a model for numbers.

    Attributes:
        level: share of images whose interval should hold their number.
        half_widths: float64 (K,), half the width of each column's interval, in its own units; ∞
            where there were too few images.
        detector: detects images that are unlike the training images.
    """

    level: float
    half_widths: np.ndarray
    detector: OutlierDetector

    def to_data(self) -> tuple[dict[str, Any], Arrays]:
        """Give plain data that JSON can hold, and named float32 arrays."""
        facts, arrays = self.detector.to_data()
        widths = [width if math.isfinite(width) else None for width in self.half_widths.tolist()]
        intervals = {"level": self.level, "half_widths": widths}
        return {"kind": NUMBER, "intervals": intervals, "outlier": facts}, arrays

    @classmethod
    def from_data(cls, data: dict[str, Any], arrays: Arrays) -> NumberReliability:
        """Rebuild from :meth:`to_data`, checking every value.

        Raises:
            ValueError, KeyError, TypeError: a value is missing or impossible.
        """
        level, stored = float(data["intervals"]["level"]), data["intervals"]["half_widths"]
        widths = np.array([math.inf if width is None else float(width) for width in stored])
        if not 0 < level < 1 or not (widths >= 0).all():
            raise ValueError("its intervals are out of range")
        return cls(level, widths, OutlierDetector.from_data(data["outlier"], arrays))


Reliabilities = ModelReliability | LabelReliability | NumberReliability
_READERS: dict[str, Any] = {
    CLASS: ModelReliability,
    LABELS: LabelReliability,
    NUMBER: NumberReliability,
}


def read_reliability(data: dict[str, Any], arrays: Arrays) -> Reliabilities:
    """Rebuild what a model stores, by its kind of target; without one it is of classes.

    Raises:
        ValueError, KeyError, TypeError: a value is missing or impossible.
    """
    kind = data.get("kind", CLASS)
    if kind not in _READERS:
        raise ValueError(f"it predicts {kind!r}, which this version does not know")
    found: Reliabilities = _READERS[kind].from_data(data, arrays)
    return found
