"""Score against parameters, with the Pareto front."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headfit.report.marks import belongs, say
from headfit.report.plots.style import (
    SCORE,
    colour,
    errors,
    finish,
    ink,
    marker,
    new_axes,
    plain,
    within_percent,
)
from headfit.report.text import numbers, titles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMED = 8  # more names would lie upon each other


def cost(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw balanced accuracy against parameters on a log axis, and the Pareto front as steps.

    With one backbone the parameters are those of the head, with several those of the whole model.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.
    """
    ax = new_axes(ax)
    several = len(results["backbones"]) > 1
    count = "total" if several else "head"
    rows = results["candidates"]
    front = sorted(
        (row["parameters"][count], 100 * row["balanced_accuracy"]["mean"], row["name"])
        for row in rows
        if row["pareto"]["parameters"]
    )
    ax.step([p for p, _, _ in front], [s for _, s, _ in front], where="post", color=ink(), lw=1)
    for row in rows:
        below, above = errors(row["balanced_accuracy"])
        drawn = ax.errorbar(
            row["parameters"][count],
            100 * row["balanced_accuracy"]["mean"],
            yerr=[[below], [above]],
            fmt=marker(row["head"]),
            color=colour(row["head"]),
            mfc=None if row["pareto"]["parameters"] else "none",
            capsize=2,
            elinewidth=0.7,
        )
        belongs(ax, row["name"], drawn.get_children())
    for row in sorted(rows, key=lambda row: row["parameters"][count]):
        _say(ax, row, count)
    # names that hold places are too long; the table says which these are
    for number, (parameters, score, name) in enumerate([] if several else front[:NAMED]):
        written = ax.annotate(
            plain(name, 24),
            (parameters, score),
            xytext=(5, 6 if number % 2 == 0 else -12),
            textcoords="offset points",
            fontsize="small",
        )
        belongs(ax, name, [written])
    ax.set_xscale("log")
    ticks = _ticks([row["parameters"][count] for row in rows])
    ax.set_xticks(ticks, [_short(tick) for tick in ticks])
    ax.minorticks_off()
    ax.margins(x=0.15)
    within_percent(ax, "y")
    title = titles.cost(results, [name for _, _, name in front])
    what = "whole model" if several else "head"
    return finish(ax, title, f"parameters of the {what}, log scale", SCORE)


def _say(ax: Axes, row: dict[str, Any], count: str) -> None:
    score, parameters, name = row["balanced_accuracy"], row["parameters"][count], row["name"]
    what = "the whole model" if count == "total" else "the head"
    text = f"{name}: {parameters:,} parameters of {what}, balanced accuracy {numbers.score(score)}"
    if row["pareto"]["parameters"]:
        text += "; no other has a better mean with fewer"
    below, above = errors(score)
    at = 100 * score["mean"]
    say(ax, text, (parameters, at), (parameters, at - below), (parameters, at + above), head=name)


def _ticks(counts: list[int]) -> list[float]:
    """Give round numbers within the range; its ends if it holds fewer than two."""
    low, high = min(counts), max(counts)
    steps = (1, 2, 5) if high < 100 * low else (1,)
    powers = range(len(str(low)) - 1, len(str(high)))
    inside = [float(s * 10**power) for power in powers for s in steps]
    inside = [tick for tick in inside if low / 1.2 <= tick <= 1.2 * high]
    return inside if len(inside) > 1 else sorted({float(low), float(high)})


def _short(count: float) -> str:
    """Write 3,000 as 3 k and 1,000,000 as 1 M."""
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= unit:
            return f"{count / unit:.3g}{name}"
    return f"{count:g}"
