"""Scores of all heads, with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headfit.report.marks import belongs, say
from headfit.report.plots.style import (
    SCORE,
    colour,
    errors,
    finish,
    marker,
    new_axes,
    plain,
    ranked,
    within_percent,
)
from headfit.report.text import numbers, titles

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def scores(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw the balanced accuracy of each head with its 95 % interval, best on top.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.
    """
    rows = ranked(results)[::-1]
    ax = new_axes(ax, 1.2 + 0.26 * len(rows))
    for place, row in enumerate(rows):
        score = row["balanced_accuracy"]
        below, above = errors(score)
        drawn = ax.errorbar(
            100 * score["mean"],
            place,
            xerr=[[below], [above]],
            fmt=marker(row["head"]),
            color=colour(row["head"]),
            capsize=3,
        )
        belongs(ax, row["name"], drawn.get_children())
    chosen = results["verdict"]["recommended"]
    names = [("→ " if r["name"] == chosen else "") + plain(r["name"], 34) for r in rows]
    ax.set_yticks(range(len(rows)), names)
    for place, row in reversed(list(enumerate(rows))):
        score = row["balanced_accuracy"]
        below, above = errors(score)
        at, name = 100 * score["mean"], row["name"]
        text = f"{name}: balanced accuracy {numbers.score(score)}"
        say(ax, text, (at, place), (at - below, place), (at + above, place), head=name)
    for row, label in zip(rows, ax.get_yticklabels(), strict=True):
        belongs(ax, row["name"], [label])
    ax.grid(axis="x", alpha=0.3)
    within_percent(ax, "x")
    finish(ax, titles.scores(results), f"{SCORE}, 95 % interval")
    # beside long names there is little room
    ax.set_xlabel(ax.get_xlabel(), loc="right")
    return ax
