"""The time that the images of a model are expected to take."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from headfit.backbones.engines.interface import Lanes
from headfit.serve import Limits, batcher
from headfit.serve.batcher import Batcher
from headfit.serve.job import Job

PIXELS = np.zeros((2, 2, 3), np.uint8)


class Clock:
    """Stands in for ``time``; it goes on when an image runs: 10 ms, or 5 s for the ``slow`` one."""

    def __init__(self, slow: int) -> None:
        self.now, self.images, self.slow = 1.0, 0, slow

    def perf_counter(self) -> float:
        return self.now

    monotonic = perf_counter

    def run(self, images: np.ndarray) -> np.ndarray:
        self.images += 1
        self.now += 5.0 if self.images == self.slow else 0.01
        return np.zeros((len(images), 1), np.float32)


class Observer:
    """Is told of the work, and does nothing."""

    def decoded(self, seconds: float) -> None: ...

    def ran(self, images: int, seconds: float) -> None: ...


def expected_interval(monkeypatch, images: int, slow: int) -> float | None:
    """Run images, and give the seconds that each is then expected to take."""
    clock = Clock(slow)
    monkeypatch.setattr(batcher, "time", clock)

    async def main() -> float | None:
        lanes = Lanes(1, 1, lambda: clock.run)
        with ThreadPoolExecutor(1) as pool:
            runs = Batcher(lanes, lambda _: PIXELS, pool, Limits(), Observer())
            job = Job([PIXELS] * images)
            runs.submit(job)
            await job.rows()
            runs.retire()
            return runs.interval

    return asyncio.run(main())


def test_one_slow_moment_hardly_changes_the_time_that_images_are_expected_to_take(monkeypatch):
    assert expected_interval(monkeypatch, 200, slow=0) < 0.011
    assert expected_interval(monkeypatch, 200, slow=195) < 0.11


def test_no_time_is_expected_before_some_images_have_run(monkeypatch):
    assert expected_interval(monkeypatch, 16, slow=1) is None
