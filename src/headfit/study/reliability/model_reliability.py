"""The part of the reliability that a finished model stores."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

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
