"""Targets for tests that number their classes."""

from __future__ import annotations

import numpy as np

from headfit.images.targets import Targets


def numbered(labels: np.ndarray, classes: int | None = None) -> Targets:
    """Give targets whose classes are named by their numbers, int (n,)."""
    count = int(np.max(labels)) + 1 if classes is None else classes
    return Targets(tuple(map(str, range(count))), np.asarray(labels))
