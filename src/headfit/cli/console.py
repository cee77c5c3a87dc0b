"""Progress and tables for people: progress on stderr, results on stdout."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from headfit.watcher import Watcher

PIPED_WIDTH = 120


def output() -> Console:
    """Give the console for results; wide enough for the table when it is piped."""
    return Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False, emoji=False)


def standings_table(title: str, columns: Sequence[str]) -> Table:
    """Make an empty table of results: a first column of names, then numbers.

    Args:
        title: stands above it.
        columns: names of two lines each, so that the table fits a terminal of 80 columns.
    """
    table = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
        show_edge=False,
    )
    for number, name in enumerate(columns):
        first = number == 0
        table.add_column(
            name, justify="left" if first else "right", no_wrap=not first, overflow="fold"
        )
    return table


class ConsoleWatcher(Watcher):
    """Shows stages as live bars on a terminal, as plain lines elsewhere; use as a context."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, emoji=False)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._stage = ""
        self._start = 0.0

    def __enter__(self) -> ConsoleWatcher:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._close()
        self._progress.stop()

    def stage(self, name: str, total: float, unit: str = "") -> None:
        """Show a new bar, and a line for the one that is done."""
        self._close()
        self._stage, self._start = name, time.monotonic()
        self._task = self._progress.add_task(name, total=total, detail="")

    def advance(self, done: float, detail: str = "", skipped: int = 0) -> None:
        """Move the bar."""
        detail = f"{skipped} skipped" if skipped else detail
        if self._task is not None:
            self._progress.update(self._task, completed=done, detail=detail)

    def tell(self, message: str) -> None:
        """Print a line above the bar."""
        self._console.print(message, markup=False, soft_wrap=True)

    def _close(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            seconds = time.monotonic() - self._start
            self._console.print(f"{self._stage}: {seconds:.1f} s", markup=False, soft_wrap=True)
            self._task = None
