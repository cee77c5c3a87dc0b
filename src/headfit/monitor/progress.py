"""The progress of a run, as plain data that a page can show.

Not thread-safe: hold a lock to share it.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from headfit.progress import HeadScore
from headfit.report.text.metrics import loss_key

SCHEMA = "headfit.progress/1"
NAME = "progress.json"
RUNNING, DONE, STOPPED, FAILED = "running", "done", "stopped", "failed"
STATES = (RUNNING, DONE, STOPPED, FAILED)
MOST_MESSAGES = 100
"""Number of messages kept, the last ones."""
WINDOW = 10.0
"""Seconds over which a rate is measured."""
RUSH = 1.0
"""Seconds that a rate leaves out at the start of a stage, and that it takes at least."""
_STEP = 0.25


@dataclass
class Stage:
    """One stage of a run.

    Attributes:
        name: what it does, in a few words.
        total: what ``done`` reaches at its end.
        unit: ``"images"``, or empty.
        start: when it began, in seconds of the monotonic clock.
        done: how much is done.
        detail: what is being worked on.
        skipped: number of images that could not be read.
        seconds: time that it took; None while it runs.
    """

    name: str
    total: float
    unit: str
    start: float = field(default_factory=time.monotonic)
    done: float = 0.0
    detail: str = ""
    skipped: int = 0
    seconds: float | None = None
    _scored: float = 0.0
    _first: float | None = None
    _window: deque[tuple[float, float]] = field(default_factory=deque)

    def advance(self, done: float, detail: str, skipped: int) -> None:
        """Report how much is done."""
        self.done, self.detail, self.skipped = max(float(done), self._scored), detail, int(skipped)
        if self.unit:
            self._note(time.monotonic())

    def scored(self) -> None:
        """Count one more head with scores as done."""
        self._scored = min(self._scored + 1, self.total)
        self.done = max(self.done, self._scored)

    def end(self, complete: bool) -> None:
        """End the stage; ``complete`` says that all of it is done."""
        self.seconds = time.monotonic() - self.start
        if complete:
            self.done = self.total

    def to_dict(self) -> dict[str, Any]:
        """Give plain data; ``rate`` is in units per second, None while it is unknown."""
        seconds = time.monotonic() - self.start if self.seconds is None else self.seconds
        return {
            "name": self.name,
            "total": self.total,
            "done": self.done,
            "unit": self.unit,
            "seconds": round(seconds, 1),
            "rate": self._rate(self.start + seconds),
            "detail": self.detail,
            "skipped": self.skipped,
            "over": self.seconds is not None,
        }

    def _note(self, now: float) -> None:
        if self._first is None:
            self._first = now
        if now - self._first < RUSH:
            # stored feature maps come at once, which says nothing about the images to come
            self._window.clear()
        if not self._window or now - self._window[-1][0] >= _STEP:
            self._window.append((now, self.done))
        while len(self._window) > 1 and self._window[1][0] <= now - WINDOW:
            self._window.popleft()

    def _rate(self, now: float) -> float | None:
        if not self._window:
            return None
        since, before = self._window[0]
        if now - since < RUSH or self.done <= before:
            return None
        return round((self.done - before) / (now - since), 1)


@dataclass
class RunProgress:
    """The progress of a run.

    Attributes:
        images: name of the images, for people.
        state: one of ``STATES``.
        error: why it failed, in one line; empty otherwise.
        started: when it began, in seconds since 1970.
        stages: those that have begun, in order.
        scores: scores of the heads that were cross-validated, in order.
        messages: the last messages.
    """

    images: str
    state: str = RUNNING
    error: str = ""
    started: float = field(default_factory=time.time)
    stages: list[Stage] = field(default_factory=list)
    scores: list[dict[str, Any]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def stage(self, name: str, total: float, unit: str) -> None:
        """Begin a stage, and end the one before."""
        self._close(complete=True)
        self.stages.append(Stage(name, float(total), unit))

    def advance(self, done: float, detail: str, skipped: int) -> None:
        """Report how much of the stage is done."""
        if self.stages:
            self.stages[-1].advance(done, detail, skipped)

    def scored(self, head: HeadScore) -> None:
        """Add the scores of a head, without those of single folds."""
        ends = ("mean", "low", "high")
        if self.stages:
            self.stages[-1].scored()
        self.scores.append(
            {
                "name": head.name,
                "metric": head.metric,
                head.metric: {end: head.score[end] for end in ends},
                loss_key(head.metric): {end: head.log_loss[end] for end in ends},
                "parameters": head.parameters,
                "seconds": round(head.seconds, 1),
            }
        )

    def tell(self, message: str) -> None:
        """Add a message."""
        self.messages = [*self.messages, message][-MOST_MESSAGES:]

    def end(self, state: str, error: str = "") -> None:
        """End the run."""
        self.state, self.error = state, error
        self._close(complete=state == DONE)

    def to_dict(self) -> dict[str, Any]:
        """Give plain data, the content of ``progress.json`` without process and machine."""
        return {
            "schema": SCHEMA,
            "state": self.state,
            "error": self.error,
            "images": self.images,
            "started": round(self.started, 3),
            "updated": round(time.time(), 3),
            "stages": [stage.to_dict() for stage in self.stages],
            "scores": list(self.scores),
            "messages": list(self.messages),
        }

    def _close(self, *, complete: bool) -> None:
        if self.stages and self.stages[-1].seconds is None:
            self.stages[-1].end(complete)
