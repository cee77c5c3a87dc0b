"""Plots of numbers: predicted against true ones, and what is left between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from headfit.report.marks import say
from headfit.report.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    finish,
    ink,
    needed,
    new_axes,
    of_kind,
    plain,
)
from headfit.report.text import titles
from headfit.report.text.numbers import significant

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHADES, SIGNS = (GREEN, ORANGE, BLUE, GREY), "oDs^v<>"
ALIKE = 3.0  # columns whose spreads differ by at most this share one axis in their own units
MARKS = 60  # tooltips of a column
MOST = 30  # columns
POINTS = 500  # a run stores as many
QUANTILES = (0.05, 0.5, 0.95)


def predicted_true(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw predicted against true numbers of held-out images, at most 500 of them.

    Columns of different scale are drawn in standard deviations from their mean. Of a single number
    dashed lines are the ends of its intervals.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.

    Raises:
        UsageError: the run does not predict numbers.
    """
    true, predicted = _points(results, "predicted_true")
    columns = results["reliability"]["columns"][:MOST]
    ax = new_axes(ax, 3.6)
    spreads = [column["std"] or 1.0 for column in columns]
    alike = max(spreads) <= ALIKE * min(spreads)
    middle = np.zeros(len(columns)) if alike else np.array([c["mean"] for c in columns])
    unit = np.ones(len(columns)) if alike else np.array(spreads)
    x, y = (true - middle) / unit, (predicted - middle) / unit
    ends = [float(min(x.min(), y.min())), float(max(x.max(), y.max()))]
    ax.plot(ends, ends, color=ink(), lw=0.8, ls=":")
    width = results["reliability"]["intervals"]["half_widths"][0]
    if len(columns) == 1 and width is not None:
        for side in (-width, width):
            ax.plot(ends, [end + side for end in ends], color=ink(), lw=0.8, ls="--")
    for number, column in enumerate(columns):
        ax.plot(
            x[:, number],
            y[:, number],
            SIGNS[number % len(SIGNS)],
            color=SHADES[number % len(SHADES)],
            ms=4,
            alpha=0.6,
            label=plain(column["name"], 24),
        )
        for row in range(min(MARKS, len(true))):
            text = (
                f"{column['name']}: true {significant(true[row, number])}, predicted "
                f"{significant(predicted[row, number])}"
            )
            say(ax, text, (x[row, number], y[row, number]))
    if len(columns) > 1:
        ax.legend(fontsize="small", frameon=False)
    name = plain(columns[0]["name"], 24) if len(columns) == 1 else "numbers"
    deviations = "" if alike else ", standard deviations from the mean"
    dashed = "; dashed: intervals" if len(columns) == 1 and width is not None else ""
    title = titles.predicted_true(results)
    return finish(ax, title, f"true {name}{deviations}; dotted: equal{dashed}", f"predicted {name}")


def residuals(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw how far predictions of held-out images are off.

    Two numbers are a plane, such as that of the image: a line leads from each true point to the
    predicted one. One number is drawn against its prediction, and of more than two the spread of
    each.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.

    Raises:
        UsageError: the run does not predict numbers.
    """
    true, predicted = _points(results, "residuals")
    columns = results["reliability"]["columns"]
    draw = {1: _along, 2: _in_plane}.get(len(columns), _spreads)
    ax = new_axes(ax, 3.6)
    x, y = draw(ax, true, predicted, results["reliability"])
    return finish(ax, titles.residuals(results), x, y)


def _in_plane(
    ax: Axes, true: np.ndarray, predicted: np.ndarray, reliability: dict[str, Any]
) -> tuple[str, str]:
    names = [column["name"] for column in reliability["columns"]]
    moves = np.stack([true, predicted, np.full(true.shape, np.nan)], axis=1).reshape(-1, 2)
    ax.plot(moves[:, 0], moves[:, 1], color=GREY, lw=0.8)
    ax.plot(true[:, 0], true[:, 1], "o", color=GREEN, ms=3, label="true")
    ax.plot(predicted[:, 0], predicted[:, 1], "D", color=ORANGE, ms=3, label="predicted")
    for here, there in zip(true[:MARKS], predicted[:MARKS], strict=True):
        said = (f"({significant(point[0])}, {significant(point[1])})" for point in (here, there))
        text = "true {}, predicted {}".format(*said)
        say(ax, text, tuple(here), tuple(there))
    ax.legend(fontsize="small", frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    x, y = (plain(name, 24) for name in names)
    if not _downwards(names[1]):
        return x, y
    ax.invert_yaxis()
    ax.set_aspect("equal")
    return x, f"{y}, downwards as in the image"


def _downwards(name: str) -> bool:
    """Tell whether a column is the height within an image, by its name."""
    return name.lower().endswith(("y", "row"))


def _along(
    ax: Axes, true: np.ndarray, predicted: np.ndarray, reliability: dict[str, Any]
) -> tuple[str, str]:
    name = reliability["columns"][0]["name"]
    apart = predicted - true
    ax.axhline(0, color=ink(), lw=0.8, ls=":")
    width = reliability["intervals"]["half_widths"][0]
    for side in () if width is None else (-width, width):
        ax.axhline(side, color=ink(), lw=0.8, ls="--")
    ax.plot(predicted[:, 0], apart[:, 0], "o", color=GREEN, ms=4, alpha=0.6)
    for row in range(min(MARKS, len(true))):
        text = f"true {significant(true[row, 0])}, predicted {significant(predicted[row, 0])}"
        say(ax, text, (predicted[row, 0], apart[row, 0]))
    dashed = "" if width is None else "; dashed: intervals"
    return f"predicted {plain(name, 24)}{dashed}", "predicted − true"


def _spreads(
    ax: Axes, true: np.ndarray, predicted: np.ndarray, reliability: dict[str, Any]
) -> tuple[str, str]:
    columns = reliability["columns"][:MOST]
    ax.axvline(0, color=ink(), lw=0.8, ls=":")
    for place, column in enumerate(columns):
        apart = (predicted - true)[:, place]
        low, middle, high = np.quantile(apart, QUANTILES) / (column["std"] or 1.0)
        spread = [[middle - low], [high - middle]]
        ax.errorbar(middle, place, xerr=spread, fmt="D", color=GREEN, capsize=3)
        ends = ", ".join(significant(float(q)) for q in np.quantile(apart, QUANTILES))
        text = f"{column['name']}: quantiles 5, 50 and 95 % of predicted − true are {ends}"
        say(ax, text, (middle, place), (low, place), (high, place))
    ax.set_yticks(range(len(columns)), [plain(column["name"], 24) for column in columns])
    ax.grid(axis="x", alpha=0.3)
    return "predicted − true in standard deviations; lines: 90 %", ""


def _points(results: dict[str, Any], plot: str) -> tuple[np.ndarray, np.ndarray]:
    """Give true and predicted numbers, float64 (m, K) each."""
    of_kind(results, plot, "number")
    points = needed(results["reliability"].get("points"), "held-out points", "run compare again")
    shown = [np.array(points[name][:POINTS], float) for name in ("true", "predicted")]
    true, predicted = (each.reshape(len(each), -1)[:, :MOST] for each in shown)
    return true, predicted
