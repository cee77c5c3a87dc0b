"""Scores with their intervals, drawn with characters: a line a head, one axis for all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from headfit.cli.plain import shorten
from headfit.report.text.metrics import BALANCED_ACCURACY, METRICS, Metric

LEAST, MOST = 24, 48  # columns of a plot
TICKS = 4
ACCENT = "cyan"  # everybody can tell it from grey; the mark and bold letters say the same
ACCURACY = METRICS[BALANCED_ACCURACY]


@dataclass(frozen=True)
class Range:
    """A score with its interval; None for what is unknown.

    Attributes:
        name: of the head.
        mark: one character before the name, a space for none.
        chosen: whether it stands out.
    """

    name: str
    mean: float | None
    low: float | None
    high: float | None
    mark: str = " "
    chosen: bool = False


@dataclass(frozen=True)
class Marks:
    """The characters of a plot."""

    left: str
    line: str
    right: str
    dot: str
    tick: str


DRAWN = Marks("├", "─", "┤", "●", "┬")
PLAIN = Marks("[", "-", "]", "o", "+")


class Axis:
    """Scores on columns of a terminal.

    Args:
        ranges: what it has to show.
        width: columns, at least 2.
        metric: what the scores are of.

    Attributes:
        ticks: round values on it, two to four.
    """

    def __init__(self, ranges: Sequence[Range], width: int, metric: Metric = ACCURACY) -> None:
        values = [v for r in ranges for v in (r.mean, r.low, r.high) if v is not None]
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        if high - low < 0.001:  # all alike: a point to each side
            low, high = low - 0.01, high + 0.01
        self.width, self.metric = width, metric
        self._step = next(
            step for step in _steps() if _last(high, step) - _first(low, step) + 1 <= TICKS
        )
        first, last = _first(low, self._step), _last(high, self._step)
        if last - first < 1:
            first = math.floor(low / self._step)
            last = max(last, first + 1)
        self._low, self._high = min(low, first * self._step), max(high, last * self._step)
        self.ticks = [number * self._step for number in range(first, last + 1)]

    def column(self, value: float) -> int:
        """Give the column of a value, 0 to ``width - 1``."""
        share = (value - self._low) / (self._high - self._low)
        return round(share * (self.width - 1))

    def labels(self) -> str:
        """Write the ticks, each centred on its column as far as there is room."""
        scale = self.metric.scale
        digits = max(0, -math.floor(math.log10(scale * self._step) + 1e-9))
        line, end = "", -1
        for tick in self.ticks:
            text = f"{scale * tick:.{digits}f}"
            start = min(max(0, self.column(tick) - len(text) // 2), self.width - len(text))
            if start > end:
                line = line.ljust(start) + text
                end = len(line)
        return line


def _steps() -> Iterator[float]:
    """Round distances of ticks, from a tenth of a point."""
    return (digit * 10.0**power for power in range(-3, 3) for digit in (1, 2, 5))


def _first(value: float, step: float) -> int:
    return math.ceil(value / step - 1e-9)


def _last(value: float, step: float) -> int:
    return math.floor(value / step + 1e-9)


def draw(row: Range, axis: Axis, *, ascii_only: bool = False) -> Text:
    """Draw the interval as a line with a dot at the mean, as wide as the axis.

    What is unknown is not drawn; without a mean there is a question mark.
    """
    marks = PLAIN if ascii_only else DRAWN
    cells = [" "] * axis.width
    if row.mean is None:
        cells[0] = "?"
    else:
        if row.low is not None and row.high is not None:
            left, right = axis.column(row.low), axis.column(row.high)
            cells[left : right + 1] = marks.line * (right - left + 1)
            cells[left], cells[right] = marks.left, marks.right
        cells[axis.column(row.mean)] = marks.dot
    return Text("".join(cells), style=f"bold {ACCENT}" if row.chosen else "", no_wrap=True)


def forest(
    rows: Sequence[Range],
    width: int,
    *,
    metric: Metric = ACCURACY,
    ascii_only: bool = False,
    title: str = "",
) -> Text:
    """Draw all heads below each other, their names before them and the axis below.

    Args:
        rows: in the order of the table.
        width: columns of the terminal; no line is wider.
        metric: what the scores are of.
        ascii_only: whether to do without the characters of boxes.
        title: what is drawn; the metric if empty.
    """
    most = max(4, min(width // 2, width - LEAST))
    names = [shorten(row.name, most, ascii_only=ascii_only) for row in rows]
    before = max(map(cell_len, names), default=0)
    axis = Axis(rows, max(2, min(width - before - 4, MOST)), metric)
    name = f"{metric.name[0].upper()}{metric.name[1:]}{' %' if metric.is_share else ''}"
    lines = [Text(shorten(f"{title or name}, 95 % interval", width, ascii_only=ascii_only))]
    for row, name in zip(rows, names, strict=True):
        line = Text(f"{row.mark} {name}{' ' * (before - cell_len(name))}  ")
        if row.chosen:
            line.stylize("bold")
        lines.append(line + draw(row, axis, ascii_only=ascii_only))
    lines += [Text(" " * (before + 4) + each) for each in (_ruler(axis, ascii_only), axis.labels())]
    return Text("\n", no_wrap=True, overflow="crop").join(lines)


def print_with_forest(
    console: Console,
    ranges: Sequence[Range],
    make: Callable[[Axis | None], Table],
    metric: Metric = ACCURACY,
    title: str = "",
) -> None:
    """Print a table with its plot: as the last column where there is room, else below.

    Args:
        console: where.
        ranges: of the table's rows, in their order.
        make: makes the table, with a column for a plot if it gets an axis.
        metric: what the scores are of.
        title: what is drawn; the metric if empty.
    """
    table = make(None)
    room = console.width - console.measure(table).maximum - 2
    if room >= LEAST:
        console.print(make(Axis(ranges, min(room, MOST), metric)))
        return
    console.print(table)
    console.print()
    plain = console.options.ascii_only
    drawn = forest(ranges, console.width, metric=metric, ascii_only=plain, title=title)
    console.print(drawn)


def add_axis(table: Table, axis: Axis) -> None:
    """Give a table a last column for drawings, under its axis."""
    table.add_column(
        Text(f"{axis.metric.short}\n{axis.labels()}", no_wrap=True),
        min_width=axis.width,
        no_wrap=True,
    )


def _ruler(axis: Axis, ascii_only: bool) -> str:
    marks = PLAIN if ascii_only else DRAWN
    cells = [marks.line] * axis.width
    for tick in axis.ticks:
        cells[axis.column(tick)] = marks.tick
    return "".join(cells)
