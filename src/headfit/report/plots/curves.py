"""Plots of curves: from gap to flatten, over images, of the difference, of map sizes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtrit

from headfit.report.marks import belongs, say
from headfit.report.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    beside,
    colour,
    finish,
    ink,
    marker,
    needed,
    new_axes,
    plain,
    within,
)
from headfit.report.text import learning_curve as learning
from headfit.report.text import metrics, titles
from headfit.report.text.metrics import METRICS, Metric, metric_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def spectrum(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw the primary metric for each strength τ of the spatial prior, with 95 % intervals.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.

    Raises:
        UsageError: the run did not measure it.
    """
    where = needed(results["where"], "spectrum of spatial priors", "run compare with `where=True`")
    key, metric = metrics.primary(results["verdict"]), metric_of(results["verdict"])
    scale, loss = metric.scale, metrics.loss_key(key)
    rows = where["spectrum"]["curve"]
    ax = new_axes(ax)
    places = list(range(len(rows)))
    scores = [row[key] for row in rows]
    means = [scale * score["mean"] for score in scores]
    bounded = [score["low"] is not None for score in scores]
    low = [scale * s["low"] if k else m for s, k, m in zip(scores, bounded, means, strict=True)]
    high = [scale * s["high"] if k else m for s, k, m in zip(scores, bounded, means, strict=True)]
    ax.fill_between(places, low, high, color=GREEN, alpha=0.25, lw=0)
    ax.plot(places, means, color=GREEN, marker="D", ms=4)
    gap, flatten = beside(results, "gap"), beside(results, "flatten")
    belongs(ax, gap, ax.plot(places[0], means[0], color=BLUE, marker="o", ls=""))
    belongs(ax, flatten, ax.plot(places[-1], means[-1], color=ORANGE, marker="s", ls=""))
    heads = ["gap", *[""] * (len(rows) - 2), "flatten"]
    for x, row, head in zip(places, rows, heads, strict=True):
        text = (
            f"τ = {row['tau']:g}{head and f', {head}'}: {metric.name} "
            f"{metric.score(scores[x])}, {METRICS[loss].name} "
            f"{METRICS[loss].plain(row[loss]['mean'])}"
        )
        link = {"gap": gap, "flatten": flatten}.get(head, "")
        say(ax, text, (x, means[x]), (x, low[x]), (x, high[x]), head=link)
    names = [f"{row['tau']:g}" for row in rows]
    names[0], names[-1] = f"{names[0]}\ngap", f"{names[-1]}\nflatten"
    ax.set_xticks(places, names)
    ax.grid(axis="y", alpha=0.3)
    within(ax, key, "y")
    title = titles.spectrum(results)
    return finish(ax, title, "τ, how alike the weights of all positions must be", metric.axis)


RUN_BOTH = "run compare with both gap and flatten in `heads`"


def posterior(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw the posterior of δ = flatten − gap, t_{n−1}(d̄, SE²), and the ROPE.

    SE is read back from the interval, which reaches t.975·SE to either side; n is the number of
    folds of all repeats.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.

    Raises:
        UsageError: gap and flatten were not compared, or did not vary between folds.
    """
    difference = needed(results["verdict"]["difference"], "difference of flatten and gap", RUN_BOTH)
    key, metric = metrics.primary(results["verdict"]), metric_of(results["verdict"])
    scale = metric.scale
    df = len(results["candidates"][0][key]["folds"]) - 1
    spread = needed(
        has_noise(results), "spread of the difference between folds", "nothing can be drawn"
    )
    mean, rope = difference["mean"], results["settings"]["rope"]
    se = spread / float(stdtrit(df, 0.975))
    ax = new_axes(ax)
    # the ROPE is seen whole, wherever the posterior lies
    ends = min(mean - 4 * se, -1.5 * rope), max(mean + 4 * se, 1.5 * rope)
    grid = np.linspace(*ends, 501)
    density = _density((grid - mean) / se, df) / se
    ax.plot(scale * grid, density, color=ink(), lw=1.2)
    inside = np.abs(grid) <= rope
    for part, shade in ((grid < -rope, BLUE), (inside, GREY), (grid > rope, ORANGE)):
        ax.fill_between(scale * grid, density, where=part.tolist(), color=shade, alpha=0.55, lw=0)
    ax.axvspan(-scale * rope, scale * rope, color=GREEN, alpha=0.15, lw=0)
    ax.axvline(0, color=ink(), lw=0.8, ls=":")
    ax.set_yticks([])
    ax.set_ylim(0)
    title = titles.posterior(results)
    return finish(ax, title, f"flatten − gap in {metric.unit}; band: ROPE", "density")


def has_noise(results: dict[str, Any]) -> float | None:
    """Give half the width of the difference's interval; None if there is no posterior to draw."""
    difference = results["verdict"]["difference"]
    if not difference or difference["low"] is None or difference["high"] is None:
        return None
    return float(difference["high"] - difference["mean"]) or None


def _density(t: np.ndarray, df: int) -> np.ndarray:
    """Density of Student's t; scipy.stats has it, but takes a second to import."""
    scale = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(df * math.pi)
    density: np.ndarray = scale * (1 + t**2 / df) ** (-(df + 1) / 2)
    return density


def learning_curve(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw the primary metric against training images, and the forecast dashed, with intervals.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.

    Raises:
        UsageError: the run did not measure it.
    """
    curve = needed(results["learning_curve"], "learning curve", "run compare with `curve=True`")
    metric = learning.metric_of(curve)
    ax = new_axes(ax)
    for head in curve["heads"]:
        name = head["name"]
        link = beside(results, name)
        _line(ax, head["points"], name, link, metric, marker=marker(name), ms=4)
        if head["forecast"]:
            _line(ax, head["forecast"], name, link, metric, ", forecast", ls="--")
    ax.axvline(curve["training_images"], color=ink(), lw=0.8, ls=":")
    ax.set_xscale("log")
    seen = [point["images"] for head in curve["heads"] for point in head["points"]]
    seen += [p["images"] for head in curve["heads"] for p in head["forecast"] or []]
    ticks = sorted({min(seen), curve["training_images"], max(seen)})
    ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    ax.minorticks_off()
    ax.grid(axis="y", alpha=0.3)
    ax.legend(fontsize="small", frameon=False, loc="lower right")
    within(ax, curve.get("metric", metrics.BALANCED_ACCURACY), "y")
    title = titles.learning_curve(results)
    return finish(ax, title, "images trained on, log scale; dotted: now", metric.axis)


def _line(
    ax: Axes,
    rows: list[dict[str, Any]],
    head: str,
    link: str,
    metric: Metric,
    kind: str = "",
    **style: Any,
) -> None:
    x = [row["images"] for row in rows]
    shade, scale = colour(head), metric.scale
    means = [scale * row["mean"] for row in rows]
    line = ax.plot(x, means, color=shade, label=head + kind, **style)
    bounded = [row for row in rows if row["low"] is not None]
    band = ax.fill_between(
        [row["images"] for row in bounded],
        [scale * row["low"] for row in bounded],
        [scale * row["high"] for row in bounded],
        color=shade,
        alpha=0.15,
        lw=0,
    )
    belongs(ax, link, [*line, band])
    for row in rows:
        text = f"{head}{kind}: {row['images']:,} images, {metric.name} {metric.score(row)}"
        # intervals of several heads overlap
        say(ax, text, (row["images"], scale * row["mean"]), head=link)


SHADES, MARKERS = (BLUE, ORANGE, GREEN, GREY), "osD^v<>"


def maps(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw the positions of the feature map against the input size, a line for each depth.

    Args:
        results: as in ``results.json``; best of a run with several sizes or cuts.
        ax: axes to draw into; new ones if None.
    """
    ax = new_axes(ax)
    lines: dict[tuple[str, str], list[tuple[int, list[int]]]] = {}
    for each in results["backbones"]:
        key = each["backbone"], each["cut"] or "its end"
        lines.setdefault(key, []).append((each["input_size"], each["map_shape"]))
    several = len({backbone for backbone, _ in lines}) > 1
    for number, ((backbone, cut), points) in enumerate(lines.items()):
        points.sort()
        name = f"{backbone}, {cut}" if several else cut
        ax.plot(
            [size for size, _ in points],
            [shape[0] * shape[1] for _, shape in points],
            color=SHADES[number % len(SHADES)],
            marker=MARKERS[number % len(MARKERS)],
            label=f"{plain(name, 40)}: {points[0][1][2]:,} channels",
        )
        for size, shape in points:
            positions = shape[0] * shape[1]
            text = f"{backbone}, {cut}, {size} px: {_text(shape)}, {positions:,} positions"
            say(ax, text, (size, positions))
    sizes = sorted({each["input_size"] for each in results["backbones"]})
    ax.set_xticks(sizes)
    ax.set_yscale("log")
    shapes = [each["map_shape"] for each in results["backbones"]]
    counts = sorted({shape[0] * shape[1] for shape in shapes})
    named = {shape[0] * shape[1]: f"{shape[0]}×{shape[1]}" for shape in shapes}
    ax.set_yticks(counts, [named[count] for count in counts])
    ax.minorticks_off()
    ax.legend(fontsize="small", frameon=False)
    least = min(shapes, key=_positions)
    most = max(shapes, key=_positions)
    title = titles.maps(_text(least), _text(most))
    return finish(ax, title, "side of the input in pixels", "positions of the map, log scale")


def _positions(shape: list[int]) -> int:
    return shape[0] * shape[1]


def _text(shape: list[int]) -> str:
    return f"{shape[0]}×{shape[1]}×{shape[2]:,}"
