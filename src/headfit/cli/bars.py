"""The line of a stage on a terminal: what fits, in the order of what matters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress import ProgressColumn, Task
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from headfit.cli.plain import shorten
from headfit.util.machine import in_words

BAR = (8, 30)  # columns
NAME = 16  # columns that a name has at least
DETAIL = 28  # columns of a detail at most


@dataclass(frozen=True)
class Part:
    """A piece of the line; where room is short, those of the lowest ``worth`` go first."""

    text: str
    worth: int


class StageColumn(ProgressColumn):
    """All of a stage in one column, so that nothing wraps and no bar vanishes.

    A task has the fields ``images`` (whether it counts them), ``skipped``, ``detail``
    and ``last`` (what was scored last).

    Args:
        memory: gives bytes, or None if unknown.
        spinner: name of rich's spinner.
    """

    max_refresh = None

    def __init__(self, memory: Callable[[], int | None], spinner: str) -> None:
        super().__init__()
        self._memory = memory
        self._spinner = Spinner(spinner)

    def render(self, task: Task) -> RenderableType:
        """Show one task."""
        return _Line(task, parts_of(task, self._memory()), self._spinner)


def parts_of(task: Task, memory: int | None) -> list[Part]:
    """Put the figures of a task into words, in the order in which they are shown."""
    fields = task.fields
    parts = []
    if fields["images"]:
        of = f"/{task.total:,.0f}" if task.total else ""
        parts.append(Part(f"{task.completed:,.0f}{of}", 5))
        if task.speed:
            parts.append(Part(f"{rate(task.speed)}/s", 3))
    else:
        parts.append(Part(f"{task.percentage:.0f} %", 5))
    left = time_left(task)
    if left:
        parts.append(Part(left, 4))
    if fields["skipped"]:
        parts.append(Part(f"{fields['skipped']:,} skipped", 2))
    if memory is not None:
        parts.append(Part(in_words(memory), 1))
    if fields["detail"]:
        parts.append(Part(shorten(fields["detail"], DETAIL), 2))
    if fields["last"]:
        parts.append(Part(f"last: {shorten(fields['last'], DETAIL)}", 0))
    return parts


def rate(speed: float) -> str:
    """Write a number of images a second, with a digit after the point where it counts."""
    return f"{speed:,.0f}" if speed >= 10 else f"{speed:.1f}"


def time_left(task: Task) -> str:
    """Write how long a task will take; nothing if that is unknown."""
    seconds = task.time_remaining
    if seconds is None or task.finished:
        return ""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02} left" if hours else f"{minutes}:{seconds:02} left"


class _Line:
    """A spinner, the name, a bar, figures: as wide as it may be."""

    def __init__(self, task: Task, parts: list[Part], spinner: Spinner) -> None:
        self._task, self._parts, self._spinner = task, parts, spinner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        task, parts, room = self._task, list(self._parts), options.max_width - 2
        name = task.description
        least = min(cell_len(name), NAME) + 1 + BAR[0]
        while parts and least + _width(parts) > room:
            parts.remove(min(parts, key=lambda part: part.worth))
        room -= _width(parts)
        name = shorten(name, max(1, room - BAR[0] - 1), ascii_only=options.ascii_only)
        bar = max(1, min(BAR[1], room - cell_len(name) - 1))
        line = Table.grid(padding=0)
        for width in (2, cell_len(name) + 1, bar, _width(parts)):
            line.add_column(width=width, no_wrap=True, overflow="crop")
        line.add_row(
            self._spinner.render(task.get_time()),
            Text(name),
            ProgressBar(total=task.total, completed=task.completed, width=bar),
            Text("".join(f"  {part.text}" for part in parts)),
        )
        yield line


def _width(parts: list[Part]) -> int:
    return sum(2 + cell_len(part.text) for part in parts)
