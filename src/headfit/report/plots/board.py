"""The plot of a board: flatten − gap of every run on one axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headfit.report.marks import say
from headfit.report.plots.style import BLUE, GREY, ORANGE, errors, finish, ink, new_axes, plain
from headfit.report.text.board import tooltip
from headfit.report.text.metrics import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# colour and marker: what speaks for Flatten, against it, and neither
_FOR, _AGAINST, _OPEN = (ORANGE, "s"), (BLUE, "o"), (GREY, "D")
_MARKS = {
    "necessary": _FOR,
    "position_needed": _AGAINST,
    "not_necessary": _AGAINST,
    "equivalent": _AGAINST,
}


def forest(group: Mapping[str, Any], ax: Axes | None = None) -> Axes:
    """Draw flatten − gap with its 95 % interval, a line for each run.

    Args:
        group: rows that stand side by side, as in ``board.json``.
        ax: axes to draw into; new ones if None.
    """
    metric, rope = METRICS[group["metric"]], group["rope"]
    rows = [row for row in group["rows"] if row["difference"]][::-1]
    ax = new_axes(ax, height(group))
    ax.axvspan(-metric.scale * rope, metric.scale * rope, color=GREY, alpha=0.15, lw=0)
    ax.axvline(0, color=ink(), lw=0.8)
    for place, row in enumerate(rows):
        shade, sign = _MARKS.get(row["flatten"], _OPEN)
        at = metric.scale * row["difference"]["mean"]
        below, above = errors(row["difference"], metric.scale)
        ax.errorbar(at, place, xerr=[[below], [above]], fmt=sign, color=shade, capsize=3)
    for place, row in reversed(list(enumerate(rows))):
        at = metric.scale * row["difference"]["mean"]
        below, above = errors(row["difference"], metric.scale)
        say(ax, tooltip(row, metric), (at, place), (at - below, place), (at + above, place))
    ax.set_yticks(range(len(rows)), [plain(row["name"], 40) for row in rows])
    ax.set_ylim(-0.7, max(len(rows), 1) - 0.3)
    ax.grid(axis="x", alpha=0.3)
    title = "Flatten − gap: to the right of the shaded band flatten is better, to the left gap"
    unit = "points" if metric.is_share else metric.name
    return finish(ax, title, f"{unit}, 95 % interval; shaded: does not matter")


def height(group: Mapping[str, Any]) -> float:
    """Give the height of the plot in inches."""
    return max(1.6, 0.9 + 0.26 * sum(bool(row["difference"]) for row in group["rows"]))
