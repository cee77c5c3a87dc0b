"""What is known of a run while it goes on, as plain data that a page can show.

Not thread-safe; whoever shares it holds a lock.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from headfit.progress import HeadScore

SCHEMA = "headfit.progress/1"
NAME = "progress.json"
RUNNING, DONE, STOPPED, FAILED = "running", "done", "stopped", "failed"
STATES = (RUNNING, DONE, STOPPED, FAILED)
MOST_MESSAGES = 100
"""That are kept; of more, the last."""
WINDOW = 10.0
"""Seconds over which a rate is taken."""
RUSH = 1.0
"""Seconds: a rate leaves out so much of the begin of a stage, and is taken over no less."""
_STEP = 0.25


@dataclass
class Stage:
    """One stage of a run.

    Attributes:
        name: as the user reads it.
        total: what its progress adds up to.
        unit: ``"images"`` or none.
        done: so far.
        detail: what it is at.
        skipped: images that could not be read.
        start: when it began, in seconds of the monotonic clock.
        seconds: that it took; None while it goes on.
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
        """So much is done."""
        self.done, self.detail, self.skipped = max(float(done), self._scored), detail, int(skipped)
        if self.unit:
            self._note(time.monotonic())

    def scored(self) -> None:
        """One head more has its scores, which is as good as that much done."""
        self._scored = min(self._scored + 1, self.total)
        self.done = max(self.done, self._scored)

    def end(self, complete: bool) -> None:
        """It is over; if ``complete``, nothing of it is left."""
        self.seconds = time.monotonic() - self.start
        if complete:
            self.done = self.total

    def to_dict(self) -> dict[str, Any]:
        """Give plain data; ``rate`` is in units a second, None as long as it is not known."""
        taken = time.monotonic() - self.start if self.seconds is None else self.seconds
        return {
            "name": self.name,
            "total": self.total,
            "done": self.done,
            "unit": self.unit,
            "seconds": round(taken, 1),
            "rate": self._rate(self.start + taken),
            "detail": self.detail,
            "skipped": self.skipped,
            "over": self.seconds is not None,
        }

    def _note(self, now: float) -> None:
        if self._first is None:
            self._first = now
        if now - self._first < RUSH:
            # what was there already comes at once, and would make any rate a lie
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
class Progress:
    """A run.

    Attributes:
        images: name of the folder of images.
        state: one of ``STATES``.
        error: why it failed, in one line; empty otherwise.
        stages: those that have begun, in order.
        scores: of the heads that were cross-validated, in order.
        messages: the last that the user was told.
    """

    images: str
    state: str = RUNNING
    error: str = ""
    started: float = field(default_factory=time.time)
    stages: list[Stage] = field(default_factory=list)
    scores: list[dict[str, Any]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def stage(self, name: str, total: float, unit: str) -> None:
        """Begin a stage; the one before is over."""
        self._close(complete=True)
        self.stages.append(Stage(name, float(total), unit))

    def advance(self, done: float, detail: str, skipped: int) -> None:
        """So much of the stage is done."""
        if self.stages:
            self.stages[-1].advance(done, detail, skipped)

    def scored(self, found: HeadScore) -> None:
        """A head has its scores; those of single folds stay out, a page has no use for them."""
        ends = ("mean", "low", "high")
        if self.stages:
            self.stages[-1].scored()
        self.scores.append(
            {
                "name": found.name,
                "balanced_accuracy": {end: found.score[end] for end in ends},
                "log_loss": {end: found.log_loss[end] for end in ends},
                "parameters": found.parameters,
                "seconds": round(found.seconds, 1),
            }
        )

    def tell(self, message: str) -> None:
        """Keep a message."""
        self.messages = [*self.messages, message][-MOST_MESSAGES:]

    def end(self, state: str, error: str = "") -> None:
        """The run is over."""
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
