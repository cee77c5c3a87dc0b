"""Learning curves and forecasts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headfit.report.marks import belongs, say
from headfit.report.plots.style import (
    SCORE,
    beside,
    colour,
    finish,
    ink,
    marker,
    needed,
    new_axes,
    within_percent,
)
from headfit.report.text import numbers, titles

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def learning_curve(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw balanced accuracy against training images, and the forecast dashed, with intervals.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.

    Raises:
        UsageError: the run did not measure it.
    """
    curve = needed(results["learning_curve"], "learning curve", "run compare with `curve=True`")
    ax = new_axes(ax)
    for head in curve["heads"]:
        name = head["name"]
        link = beside(results, name)
        _line(ax, head["points"], name, link, marker=marker(name), ms=4)
        if head["forecast"]:
            _line(ax, head["forecast"], name, link, ", forecast", ls="--")
    ax.axvline(curve["training_images"], color=ink(), lw=0.8, ls=":")
    ax.set_xscale("log")
    seen = [point["images"] for head in curve["heads"] for point in head["points"]]
    seen += [p["images"] for head in curve["heads"] for p in head["forecast"] or []]
    ticks = sorted({min(seen), curve["training_images"], max(seen)})
    ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    ax.minorticks_off()
    ax.grid(axis="y", alpha=0.3)
    ax.legend(fontsize="small", frameon=False, loc="lower right")
    within_percent(ax, "y")
    return finish(
        ax, titles.learning_curve(results), "images trained on, log scale; dotted: now", SCORE
    )


def _line(
    ax: Axes, rows: list[dict[str, Any]], head: str, link: str, kind: str = "", **style: Any
) -> None:
    x = [row["images"] for row in rows]
    shade = colour(head)
    line = ax.plot(x, [100 * row["mean"] for row in rows], color=shade, label=head + kind, **style)
    bounded = [row for row in rows if row["low"] is not None]
    band = ax.fill_between(
        [row["images"] for row in bounded],
        [100 * row["low"] for row in bounded],
        [100 * row["high"] for row in bounded],
        color=shade,
        alpha=0.15,
        lw=0,
    )
    belongs(ax, link, [*line, band])
    for row in rows:
        text = f"{head}{kind}: {row['images']:,} images, balanced accuracy {numbers.score(row)}"
        # intervals of several heads overlap
        say(ax, text, (row["images"], 100 * row["mean"]), head=link)
