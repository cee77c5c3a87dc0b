"""Plots of the heads: their scores, what they cost, how much they overfit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headfit.report.marks import belongs, say
from headfit.report.plots.style import (
    colour,
    errors,
    finish,
    ink,
    marker,
    new_axes,
    plain,
    ranked,
    within,
)
from headfit.report.text import metrics, titles
from headfit.report.text.metrics import Metric, metric_of
from headfit.report.text.table import trained_parameters

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def scores(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw the primary metric of each head with its 95 % interval, best on top.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.
    """
    key, metric = metrics.primary(results["verdict"]), metric_of(results["verdict"])
    rows = ranked(results)[::-1]
    ax = new_axes(ax, 1.2 + 0.26 * len(rows))
    for place, row in enumerate(rows):
        score = row[key]
        below, above = errors(score, metric.scale)
        drawn = ax.errorbar(
            metric.scale * score["mean"],
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
        score = row[key]
        below, above = errors(score, metric.scale)
        at, name = metric.scale * score["mean"], row["name"]
        text = f"{name}: {metric.name} {metric.score(score)}"
        say(ax, text, (at, place), (at - below, place), (at + above, place), head=name)
    for row, label in zip(rows, ax.get_yticklabels(), strict=True):
        belongs(ax, row["name"], [label])
    ax.grid(axis="x", alpha=0.3)
    within(ax, key, "x")
    finish(ax, titles.scores(results), f"{metric.axis}, 95 % interval")
    # beside long names there is little room
    ax.set_xlabel(ax.get_xlabel(), loc="right")
    return ax


NAMED = 8  # more names would lie upon each other


def cost(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw the primary metric against parameters on a log axis, and the Pareto front as steps.

    With one backbone the parameters are those of the head, with several those of the whole model.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.
    """
    key, metric = metrics.primary(results["verdict"]), metric_of(results["verdict"])
    ax = new_axes(ax)
    several = len(results["backbones"]) > 1
    count = "total" if several else "head"
    what = "parameters of the whole model" if several else "parameters of the head"
    if results.get("finetune"):
        what = "trained parameters"
    rows = results["candidates"]
    front = sorted(
        (_parameters(row, count), metric.scale * row[key]["mean"], row["name"])
        for row in rows
        if row["pareto"]["parameters"]
    )
    ax.step([p for p, _, _ in front], [s for _, s, _ in front], where="post", color=ink(), lw=1)
    for row in rows:
        below, above = errors(row[key], metric.scale)
        drawn = ax.errorbar(
            _parameters(row, count),
            metric.scale * row[key]["mean"],
            yerr=[[below], [above]],
            fmt=marker(row["head"]),
            color=colour(row["head"]),
            mfc=None if row["pareto"]["parameters"] else "none",
            capsize=2,
            elinewidth=0.7,
        )
        belongs(ax, row["name"], drawn.get_children())
    for row in sorted(rows, key=lambda row: _parameters(row, count)):
        _cost_mark(ax, row, (count, what), row[key], metric)
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
    ticks = _ticks([_parameters(row, count) for row in rows])
    ax.set_xticks(ticks, [_short(tick) for tick in ticks])
    ax.minorticks_off()
    ax.margins(x=0.15)
    within(ax, key, "y")
    title = titles.cost(results, [name for _, _, name in front])
    return finish(ax, title, f"{what}, log scale", metric.axis)


def _cost_mark(
    ax: Axes, row: dict[str, Any], counted: tuple[str, str], score: dict[str, Any], metric: Metric
) -> None:
    count, what = counted
    parameters, name = _parameters(row, count), row["name"]
    text = f"{name}: {parameters:,} {what}, {metric.name} {metric.score(score)}"
    if row["pareto"]["parameters"]:
        text += "; no other has a better mean with fewer"
    below, above = errors(score, metric.scale)
    at = metric.scale * score["mean"]
    say(ax, text, (parameters, at), (parameters, at - below), (parameters, at + above), head=name)


def _parameters(row: dict[str, Any], count: str) -> int:
    """Count those of the whole model, or those that are trained."""
    return int(row["parameters"]["total"]) if count == "total" else trained_parameters(row)


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


def overfit(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw the overfit gap of each head, its score on training minus held-out images.

    Bars have 95 % intervals.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.
    """
    metric = metric_of(results["verdict"])
    rows = sorted(ranked(results), key=lambda row: row["overfit_gap"]["mean"] or 0, reverse=True)
    ax = new_axes(ax, 1.2 + 0.26 * len(rows))
    for place, row in enumerate(rows):
        below, above = errors(row["overfit_gap"], metric.scale)
        bar = ax.barh(
            place,
            metric.scale * (row["overfit_gap"]["mean"] or 0),
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
        _overfit_mark(ax, row, place, metric)
    ax.axvline(0, color=ink(), lw=0.8)
    unit = f"{metric.name.removeprefix('balanced ')} in points" if metric.is_share else metric.name
    finish(ax, titles.overfit(rows, metric), f"training − held-out {unit}")
    # beside long names there is little room
    ax.set_xlabel(ax.get_xlabel(), loc="right")
    return ax


def _overfit_mark(ax: Axes, row: dict[str, Any], place: int, metric: Metric) -> None:
    gap, name = row["overfit_gap"], row["name"]
    at = metric.scale * (gap["mean"] or 0)
    below, above = errors(gap, metric.scale)
    size = "?" if gap["mean"] is None else metric.difference(gap["mean"], signed=True)
    text = f"{name}: overfit gap {size}"
    if gap["mean"] is not None and gap["low"] is not None and gap["high"] is not None:
        text += f" ({metric.range(gap)})"
    say(ax, text, (at, place), (0, place), (at - below, place), (at + above, place), head=name)
