"""Which of two files is quicker, run in turn."""

from __future__ import annotations

import statistics
import time

import numpy as np

from headfit.exports.formats.format import Predict
from headfit.images.contract import Contract

BATCH = 8
ROUNDS = 15
CLEAR = 1.01
"""How many times as fast counts as faster: less is within the noise of such a race."""


def quicker(plain: Predict, other: Predict, contract: Contract) -> float:
    """Measure how many times as fast another way is; 1 if that is not clear.

    Both run the same images in turn, so that what else the machine does hits both alike.

    Args:
        plain: the one to beat.
        other: the one that is to be faster.
        contract: the size of the images.
    """
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH, contract.height, contract.width, 3), np.uint8)
    ratios = []
    for number in range(ROUNDS + 2):
        seconds = [_seconds(run, images) for run in (plain, other)]
        if number >= 2:  # the first runs only warm up
            ratios.append(seconds[0] / seconds[1])
    ratio = statistics.median(ratios)
    # more often faster than chance would have it, and by more than nothing
    wins = sum(each > 1 for each in ratios)
    return ratio if ratio > CLEAR and wins >= 0.8 * ROUNDS else min(ratio, 1.0)


def _seconds(run: Predict, images: np.ndarray) -> float:
    start = time.perf_counter()
    run(images)
    return time.perf_counter() - start
