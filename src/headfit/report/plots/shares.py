"""What plots of classes and of labels have in common: rows of shares, and a square of counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from headfit.report.marks import say
from headfit.report.plots.style import new_axes, plain, within_percent
from headfit.report.text.numbers import percent
from headfit.util.nouns import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 30  # rows
NUMBERED = 15  # names; more numbers are too small to read
NAMED = 40


class Mark(NamedTuple):
    """A share of each row: its key, its name in tooltips and in the legend, colour and sign."""

    key: str
    name: str
    legend: str
    shade: str
    sign: str


def draw_rows(
    rows: Sequence[dict[str, Any]], marks: Sequence[Mark], ax: Axes | None, columns: int
) -> Axes:
    """Draw some shares of each row, the first row on top.

    Args:
        rows: at most 30, each with ``name``, ``images`` and a share, or None, for each mark.
        marks: what is drawn.
        ax: axes to draw into; new ones if None.
        columns: of the legend.
    """
    shown = rows[::-1]
    ax = new_axes(ax, 1.5 + 0.24 * len(shown))
    for mark in marks:
        drawn = [(100 * r[mark.key], y) for y, r in enumerate(shown) if r[mark.key] is not None]
        x, y = zip(*drawn, strict=True) if drawn else ((), ())
        ax.plot(x, y, mark.sign, color=mark.shade, label=mark.legend, ms=5)
    for y, row in reversed(list(enumerate(shown))):
        text = ", ".join(f"{mark.name} {percent(row[mark.key])} %" for mark in marks)
        spots = [(100 * row[mark.key], y) for mark in marks if row[mark.key] is not None]
        text = f"{row['name']}: {text}; {counted(row['images'], 'image')}"
        say(ax, text, *(spots or [(0, y)]), label=row["name"])
    ax.set_yticks(range(len(shown)), [plain(row["name"], 24) for row in shown])
    ax.grid(alpha=0.3)
    ax.legend(
        fontsize="small",
        frameon=False,
        ncols=columns,
        loc="upper left",
        bbox_to_anchor=(0, -0.22),
    )
    within_percent(ax, "x")
    return ax


def draw_counts(
    counts: np.ndarray,
    shares: np.ndarray,
    names: Sequence[str],
    ax: Axes | None,
    written: Callable[[float], str],
) -> Axes:
    """Draw a square of counts, shaded by shares.

    Args:
        counts: (K, K).
        shares: float64 (K, K), fractions.
        names: of the rows and columns.
        ax: axes to draw into; new ones if None.
        written: writes a count.
    """
    ax = new_axes(ax, 4.2)
    ax.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    if len(names) <= NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                shade = "black" if shares[row, column] > 0.5 else "white"
                ax.text(
                    column,
                    row,
                    written(count),
                    ha="center",
                    va="center",
                    color=shade,
                    fontsize="small",
                )
    if len(names) <= NAMED:
        places, shown = range(len(names)), [plain(name, 16) for name in names]
        ax.set_xticks(places, shown, rotation=90, fontsize="small")
        ax.set_yticks(places, shown, fontsize="small")
    return ax
