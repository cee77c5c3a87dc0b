"""Overfit gap of each head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headfit.report.marks import belongs, say
from headfit.report.plots.style import colour, errors, finish, ink, new_axes, plain, ranked
from headfit.report.text import titles
from headfit.report.text.numbers import point_range, points

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def overfit(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw the overfit gap of each head, balanced accuracy on training minus held-out images.

    Bars have 95 % intervals.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.
    """
    rows = sorted(ranked(results), key=lambda row: row["overfit_gap"]["mean"] or 0, reverse=True)
    ax = new_axes(ax, 1.2 + 0.26 * len(rows))
    for place, row in enumerate(rows):
        below, above = errors(row["overfit_gap"])
        bar = ax.barh(
            place,
            100 * (row["overfit_gap"]["mean"] or 0),
            xerr=[[below], [above]],
            color=colour(row["head"]),
            ecolor=ink(),
            capsize=3,
            height=0.6,
        )
        whisker = bar.errorbar.get_children() if bar.errorbar else []
        belongs(ax, row["name"], [*bar.patches, *whisker])
    ax.set_yticks(range(len(rows)), [plain(row["name"], 34) for row in rows])
    for row, label in zip(rows, ax.get_yticklabels(), strict=True):
        belongs(ax, row["name"], [label])
    for place, row in reversed(list(enumerate(rows))):
        _say(ax, row, place)
    ax.axvline(0, color=ink(), lw=0.8)
    finish(ax, titles.overfit(rows), "training − held-out accuracy in points")
    # beside long names there is little room
    ax.set_xlabel(ax.get_xlabel(), loc="right")
    return ax


def _say(ax: Axes, row: dict[str, Any], place: int) -> None:
    gap, name = row["overfit_gap"], row["name"]
    at = 100 * (gap["mean"] or 0)
    below, above = errors(gap)
    text = f"{name}: overfit gap {'?' if gap['mean'] is None else points(gap['mean'], signed=True)}"
    if gap["mean"] is not None and gap["low"] is not None and gap["high"] is not None:
        text += f" ({point_range(gap)})"
    say(ax, text, (at, place), (0, place), (at - below, place), (at + above, place), head=name)
