"""Scores from gap to flatten: how much *where* matters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headfit.report.marks import belongs, say
from headfit.report.plots.style import (
    BLUE,
    GREEN,
    ORANGE,
    SCORE,
    beside,
    finish,
    needed,
    new_axes,
    within_percent,
)
from headfit.report.text import numbers, titles

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def spectrum(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw balanced accuracy for each strength τ of the spatial prior, with 95 % intervals.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.

    Raises:
        UsageError: the run did not measure it.
    """
    where = needed(results["where"], "spectrum of spatial priors", "run compare with `where=True`")
    measured = where["spectrum"]
    rows = measured["curve"]
    ax = new_axes(ax)
    places = list(range(len(rows)))
    scores = [row["balanced_accuracy"] for row in rows]
    means = [100 * score["mean"] for score in scores]
    bounded = [score["low"] is not None for score in scores]
    low = [100 * s["low"] if k else m for s, k, m in zip(scores, bounded, means, strict=True)]
    high = [100 * s["high"] if k else m for s, k, m in zip(scores, bounded, means, strict=True)]
    ax.fill_between(places, low, high, color=GREEN, alpha=0.25, lw=0)
    ax.plot(places, means, color=GREEN, marker="D", ms=4)
    gap, flatten = beside(results, "gap"), beside(results, "flatten")
    belongs(ax, gap, ax.plot(places[0], means[0], color=BLUE, marker="o", ls=""))
    belongs(ax, flatten, ax.plot(places[-1], means[-1], color=ORANGE, marker="s", ls=""))
    heads = ["gap", *[""] * (len(rows) - 2), "flatten"]
    for x, row, head in zip(places, rows, heads, strict=True):
        text = (
            f"τ = {row['tau']:g}{head and f', {head}'}: balanced accuracy "
            f"{numbers.score(scores[x])}, log-loss {row['log_loss']['mean']:.3f}"
        )
        link = {"gap": gap, "flatten": flatten}.get(head, "")
        say(ax, text, (x, means[x]), (x, low[x]), (x, high[x]), head=link)
    names = [f"{row['tau']:g}" for row in rows]
    names[0], names[-1] = f"{names[0]}\ngap", f"{names[-1]}\nflatten"
    ax.set_xticks(places, names)
    ax.grid(axis="y", alpha=0.3)
    within_percent(ax, "y")
    return finish(
        ax, titles.spectrum(results), "τ, how alike the weights of all positions must be", SCORE
    )
