"""Images of all requests of a model, decoded beside inference, and run as its engine runs best.

OpenVINO on a CPU runs an image on each core: a lane takes the next one as soon as it is free, and
no image waits for others. Where batches are faster (:mod:`headfit.backbones.graphs.tuning` tries),
a lane takes one if enough images wait. Where Keras runs the model, its one lane takes all of them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import NamedTuple, Protocol

import numpy as np

from headfit.backbones.engines.interface import Lanes
from headfit.errors import ImageError
from headfit.images.read_ahead import READ_AHEAD
from headfit.serve.job import Job
from headfit.serve.limits import Limits
from headfit.util.machine import give_way

FEWEST_MEASURED = 32  # images before the interval between them is known
SMOOTHING = 0.02  # least weight of an image in the mean interval


class Ready(NamedTuple):
    """An image that a lane can take."""

    job: Job
    place: int
    pixels: np.ndarray
    from_file: bool


class Observer(Protocol):
    """Is told how long the work takes. Called from several threads."""

    def decoded(self, seconds: float) -> None:
        """An image was decoded, or found to be unreadable."""
        ...

    def ran(self, images: int, seconds: float) -> None:
        """A lane ran some images at once."""
        ...


class Batcher:
    """What runs one model.

    Args:
        lanes: of its engine.
        decode: makes pixels, uint8 (height, width, 3), of a file; raises ``ImageError``.
        pool: threads that decode, which several models share.
        limits: ``batch`` and ``delay`` for lanes that take batches.
        observer: is told how long the work takes.
    """

    def __init__(
        self,
        lanes: Lanes,
        decode: Callable[[bytes], np.ndarray],
        pool: Executor,
        limits: Limits,
        observer: Observer,
    ) -> None:
        self._lanes, self._decode, self._pool = lanes, decode, pool
        self._delay, self._observer = limits.delay, observer
        self._batch = min(lanes.batch, limits.batch)
        self._most_ahead = max(READ_AHEAD, 2 * lanes.count * self._batch)
        self._changed = threading.Condition()
        self._files: deque[tuple[Job, int]] = deque()
        self._ready: deque[Ready] = deque()
        self._ahead = 0  # files that are being decoded, or are decoded and not yet run
        self._threads = 0
        self._retired = False
        self._interval, self._measured = 0.0, 0
        self._last = 0.0  # when the last image was done, if others waited then

    @property
    def interval(self) -> float | None:
        """Seconds from one image to the next when many wait; None until that was seen."""
        return self._interval if self._measured >= FEWEST_MEASURED else None

    def submit(self, job: Job) -> None:
        """Begin with the images of a job, those of earlier jobs first."""
        with self._changed:
            for place in range(len(job)):
                if job.is_file(place):
                    self._files.append((job, place))
                elif isinstance(content := job.take(place), np.ndarray):
                    self._ready.append(Ready(job, place, content, False))
                elif isinstance(content, ImageError):
                    job.put(place, content)
            self._start_decoding()
            while self._threads < self._lanes.count:
                self._threads += 1
                threading.Thread(target=self._run, name="headfit-inference", daemon=True).start()
            self._changed.notify_all()

    def retire(self) -> None:
        """Let the threads end when nothing is left to do; another job would start them again."""
        with self._changed:
            self._retired = True
            self._changed.notify_all()

    def _start_decoding(self) -> None:
        while self._files and self._ahead < self._most_ahead:
            job, place = self._files.popleft()
            if not job.dropped:
                self._ahead += 1
                self._pool.submit(self._decode_one, job, place)

    def _decode_one(self, job: Job, place: int) -> None:
        pixels = self._pixels_of(job, place)
        with self._changed:
            if pixels is None:
                self._ahead -= 1
                self._start_decoding()
            else:
                self._ready.append(Ready(job, place, pixels, True))
            self._changed.notify_all()

    def _pixels_of(self, job: Job, place: int) -> np.ndarray | None:
        content = job.take(place)
        if not isinstance(content, bytes):  # dropped meanwhile
            return None
        start = time.perf_counter()
        try:
            return self._decode(content)
        except ImageError as error:
            # a new one: the traceback of the first holds the bytes of the file
            job.put(place, ImageError(str(error)))
        except Exception as error:
            job.fail(error)
        finally:
            self._observer.decoded(time.perf_counter() - start)
        return None

    def _run(self) -> None:
        """Run images until the model is retired; what a lane's thread does."""
        give_way()
        try:
            run = self._lanes.open()
        except Exception as error:
            self._give_up(error)
            return
        while batch := self._next():
            wanted = [each for each in batch if not each.job.dropped]
            if wanted:
                self._run_batch(run, wanted)
            with self._changed:
                self._measure(len(batch))
                self._ahead -= sum(each.from_file for each in batch)
                self._start_decoding()
                self._changed.notify_all()

    def _run_batch(self, run: Callable[[np.ndarray], np.ndarray], batch: list[Ready]) -> None:
        start = time.perf_counter()
        try:
            rows = run(np.stack([each.pixels for each in batch]))
        except Exception as error:
            for each in batch:
                each.job.fail(error)
            return
        self._observer.ran(len(batch), time.perf_counter() - start)
        for each, row in zip(batch, rows, strict=True):
            each.job.put(each.place, row)

    def _next(self) -> list[Ready]:
        """Wait for images; none when the thread shall end."""
        with self._changed:
            while not self._ready:
                if self._retired and not self._files and not self._ahead:
                    self._threads -= 1
                    return []
                self._changed.wait()
            if self._lanes.count == 1:
                self._wait_for_more()
            elif len(self._ready) < self._batch:  # the other lanes are free for the others
                return [self._ready.popleft()]
            return [self._ready.popleft() for _ in range(min(self._batch, len(self._ready)))]

    def _wait_for_more(self) -> None:
        """Wait a moment for images that are being decoded."""
        until = time.monotonic() + self._delay
        while (
            len(self._ready) < self._batch
            and (self._files or self._ahead > len(self._ready))
            and (left := until - time.monotonic()) > 0
        ):
            self._changed.wait(left)

    def _measure(self, images: int) -> None:
        now = time.perf_counter()
        if self._last:
            # a plain mean at first: a moment in which the machine does something else weighs little
            self._measured += images
            weight = min(1.0, max(SMOOTHING * images, images / self._measured))
            self._interval += weight * ((now - self._last) / images - self._interval)
        self._last = now if self._ready or self._files else 0.0

    def _give_up(self, error: Exception) -> None:
        """End a thread that cannot begin, and all that would wait for it."""
        with self._changed:
            self._threads -= 1
            for job in (*(each.job for each in self._ready), *(job for job, _ in self._files)):
                job.fail(error)
