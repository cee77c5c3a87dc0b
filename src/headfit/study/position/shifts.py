"""Measures how logits change when the image is moved by a few pixels.

Those of gap should hardly change, because a feature counts the same wherever it is. The caveat is
zero padding, which lets a network encode how near the border a position is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit


@dataclass(frozen=True)
class ShiftCurve:
    """Effect of moving the image on one head.

    Attributes:
        pixels: distances by which the images were moved.
        change: float64 (images, pixels), ‖z − z'‖ of the logits z before and z' after, in units of
            the root mean square of ‖z‖ over images; the mean over classes is subtracted first,
            because it changes no prediction.
        flipped: bool (images, pixels), whether the predicted class changed.
    """

    pixels: tuple[int, ...]
    change: np.ndarray
    flipped: np.ndarray

    @classmethod
    def of(cls, pixels: Sequence[int], logits: np.ndarray) -> ShiftCurve:
        """Compare logits, (images, 1 + pixels, K), of images where they were and moved."""
        centred = logits - logits.mean(axis=2, keepdims=True)
        before, after = centred[:, :1], centred[:, 1:]
        # one size for all images: that of an image between two classes may be next to nothing
        size = float(np.sqrt(np.mean(np.sum(np.square(before), axis=2))))
        change = np.linalg.norm(after - before, axis=2) / (size or 1.0)
        flipped = before.argmax(axis=2) != after.argmax(axis=2)
        return cls(tuple(pixels), change, flipped)

    def to_list(self) -> list[dict[str, Any]]:
        """Give the curve as plain data, a point for each distance."""
        return [
            {"pixels": distance, "change": _interval(change), "flipped": float(flipped.mean())}
            for distance, change, flipped in zip(
                self.pixels, self.change.T, self.flipped.T, strict=True
            )
        ]


def _interval(values: np.ndarray) -> dict[str, float | None]:
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return {"mean": mean, "low": None, "high": None}
    reach = float(stdtrit(n - 1, 0.975)) * float(values.std(ddof=1)) / math.sqrt(n)
    return {"mean": mean, "low": max(0.0, mean - reach), "high": mean + reach}
