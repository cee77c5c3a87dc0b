"""Progress and tables for people: progress on stderr, results on stdout."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import Progress, Task, track
from rich.segment import Segment

from headfit.cli.bars import StageColumn, rate, time_left
from headfit.cli.plain import never_fails
from headfit.cli.wording import in_command_line_words
from headfit.progress import IMAGES, Callback, HeadScore
from headfit.report.text.metrics import METRICS
from headfit.util.controls import escape_controls
from headfit.util.machine import Memory, in_words

T = TypeVar("T")
PIPED_WIDTH = 120
LOOK = 1.0  # seconds from one look at the memory and the clock to the next
PAUSE = 2.0  # seconds between two images that tell of a graph being built, not of their rate
SPEAK = 30.0  # seconds that a stage may be silent where there are no bars


class SafeConsole(Console):
    """A console that shows the controls in a text instead of sending them to the terminal."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Render; what rich itself sends to steer the terminal stays."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(escape_controls(segment.text), segment.style)


def output() -> Console:
    """Give the console for results; wide enough for the table when it is piped."""
    never_fails(sys.stdout)
    width = None if sys.stdout.isatty() else PIPED_WIDTH
    return SafeConsole(width=width, highlight=False, emoji=False)


def tell(*lines: str) -> None:
    """Print messages on stderr, with options instead of Python's arguments."""
    for line in lines:
        _stderr().print(in_command_line_words(line), markup=False, soft_wrap=True)


def tracked(steps: Iterable[T], title: str, total: int) -> Iterable[T]:
    """Show a bar on a terminal while these steps are gone through."""
    console = _stderr()
    hidden = not console.is_terminal
    return track(steps, title, total=total, console=console, transient=True, disable=hidden)


class Messages(Callback):
    """Prints messages on stderr, for commands without stages."""

    def on_message(self, message: str) -> None:
        """Print it."""
        tell(message)


class ConsoleCallback(Callback):
    """Shows stages as live bars on a terminal, as plain lines elsewhere; use as a context."""

    def __init__(self) -> None:
        self._console = _stderr()
        # rich calls a pipe a terminal where FORCE_COLOR is set; colour may be forced, bars not
        self._live = sys.stderr.isatty() and not self._console.is_dumb_terminal
        self._memory = Memory()
        self._progress = Progress(
            StageColumn(
                lambda: self._memory.now, "line" if self._console.options.ascii_only else "dots"
            ),
            console=self._console,
            transient=True,
            expand=True,
            disable=not self._live,
        )
        self._task: Task | None = None
        self._start = self._spoke = self._moved = 0.0
        self._steady = False
        self._stop = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="headfit-progress", daemon=True)

    def __enter__(self) -> ConsoleCallback:
        self._memory.measure()
        self._progress.start()
        self._ticker.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._stop.set()
        self._ticker.join()
        try:
            if kind is None:
                self._close()
                self._memory.measure()
                if self._memory.peak is not None:
                    self._say(f"Peak memory {in_words(self._memory.peak)}")
        finally:
            # whatever happens, the cursor comes back
            self._progress.stop()

    def on_stage_begin(self, name: str, total: float, unit: str = "") -> None:
        """Show a new bar, and a line for the one that is done."""
        self._close()
        self._start = self._spoke = self._moved = time.monotonic()
        self._steady = False
        number = self._progress.add_task(
            name, total=total or None, images=unit == IMAGES, skipped=0, detail="", last=""
        )
        self._task = next(task for task in self._progress.tasks if task.id == number)

    def on_progress(self, done: float, detail: str = "", skipped: int = 0) -> None:
        """Move the bar."""
        if self._task is not None:
            self._forget_pause(self._task, done)
            self._progress.update(
                self._task.id,
                completed=done,
                detail=detail,
                skipped=max(skipped, self._task.fields["skipped"]),
            )

    def on_head_end(self, score: HeadScore) -> None:
        """Show the score beside the bar until the next one is there."""
        mean = score.score["mean"]
        if self._task is not None and mean is not None:
            last = f"{score.name.rpartition('/')[2]} {METRICS[score.metric].value(mean)}"
            self._progress.update(self._task.id, last=last)

    def on_message(self, message: str) -> None:
        """Print a line above the bar, with options instead of Python's arguments."""
        self._say(in_command_line_words(message))

    def _forget_pause(self, task: Task, done: float) -> None:
        """Measure the rate again after the first pause: a graph being built is not the rate."""
        now = time.monotonic()
        if self._steady or not task.fields["images"]:
            return
        if now - self._moved > PAUSE:
            self._progress.reset(task.id, completed=int(done))
            self._steady = True
        self._moved = now

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)

    def _close(self) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        self._progress.remove_task(task.id)
        seconds = time.monotonic() - self._start
        words = [f"{seconds:.1f} s"]
        if task.fields["skipped"]:
            words.append(f"{task.fields['skipped']:,} skipped")
        self._say(f"{task.description}: {', '.join(words)}")

    def _tick(self) -> None:
        """Look at the memory; where there is no bar, say now and then how far a stage is."""
        while not self._stop.wait(LOOK):
            self._memory.measure()
            task = self._task
            if not self._live and task is not None and time.monotonic() - self._spoke >= SPEAK:
                self._spoke = time.monotonic()
                self._say(f"{task.description}: {so_far(task)}")


def _stderr() -> Console:
    never_fails(sys.stderr)
    return SafeConsole(stderr=True, highlight=False, emoji=False)


def so_far(task: Task) -> str:
    """Say in words how far a stage is."""
    if task.fields["images"]:
        of = f" of {task.total:,.0f}" if task.total else ""
        words = [f"{task.completed:,.0f}{of} images"]
        words += [f"{rate(task.speed)} images/s"] if task.speed else []
        words += [f"{task.fields['skipped']:,} skipped"] if task.fields["skipped"] else []
    else:
        words = [f"{task.percentage:.0f} %"]
        words += [task.fields["detail"]] if task.fields["detail"] else []
        words += [f"last: {task.fields['last']}"] if task.fields["last"] else []
    left = time_left(task)
    return ", ".join([*words, left] if left else words)


STEP = 0.5
"""Seconds of one wait; Windows hears Ctrl-C only between two."""


def until_interrupted() -> None:
    """Say how to stop, and wait for Ctrl-C or a request to terminate; both are an ordinary end.

    A job in the background of a script ignores Ctrl-C, and so does this: it belongs to the program
    in the foreground.
    """
    never = threading.Event()
    with _terminable(), contextlib.suppress(KeyboardInterrupt):
        background = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        key = f"Stop serving with: kill {os.getpid()}" if background else "Press Ctrl-C to stop."
        tell(key)
        while True:
            never.wait(STEP)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
