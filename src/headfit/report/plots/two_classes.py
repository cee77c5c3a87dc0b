"""Plots of two classes: what each threshold on the probability of one of them gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headfit.errors import UsageError
from headfit.report.marks import say
from headfit.report.plots.style import (
    GREEN,
    finish,
    ink,
    needed,
    new_axes,
    of_kind,
    plain,
    within_percent,
)
from headfit.report.text import titles
from headfit.report.text.numbers import percent
from headfit.report.text.targets import names_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EACH = 10  # every tenth point has a tooltip
POINTS = 2000  # more than a run stores


def roc(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw the true against the false positive rate of the rarer of two classes.

    Of the recommended head, on held-out images.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.

    Raises:
        UsageError: the run has more than two classes, or an older version wrote its results.
    """
    curves = _curves(results, "roc")
    ax = new_axes(ax, 3.4)
    ax.plot([0, 100], [0, 100], color=ink(), lw=0.8, ls=":")
    _draw(ax, curves["roc"], "{1} % of these images found, {0} % of the others taken for them")
    name = plain(names_of(results)[curves["class"]], 24)
    x = f"other images taken for {name} in %; dotted: by chance"
    return finish(ax, titles.roc(results), x, f"images of {name} found in %")


def precision_recall(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw precision against recall of the rarer of two classes.

    Of the recommended head, on held-out images.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.

    Raises:
        UsageError: the run has more than two classes, or an older version wrote its results.
    """
    curves = _curves(results, "precision_recall")
    ax = new_axes(ax, 3.4)
    ax.axhline(100 * curves["share"], color=ink(), lw=0.8, ls=":")
    _draw(ax, curves["precision_recall"], "recall {0} %, precision {1} %")
    name = plain(names_of(results)[curves["class"]], 24)
    title = titles.precision_recall(results)
    return finish(ax, title, f"recall of {name} in %", "precision in %; dotted: by chance")


def _curves(results: dict[str, Any], plot: str) -> dict[str, Any]:
    of_kind(results, plot, "class")
    classes = len(names_of(results))
    if classes != 2:
        raise UsageError(
            f"The plot '{plot}' shows two classes, and this run has {classes}. "
            f"Draw 'classes' or 'confusion'."
        )
    curves = results["reliability"].get("curves")
    found: dict[str, Any] = needed(curves, "curves of thresholds", "run compare again")
    return found


def _draw(ax: Axes, points: list[list[float]], text: str) -> None:
    places = [(100 * x, 100 * y) for x, y in points[:POINTS]]
    ax.plot([x for x, _ in places], [y for _, y in places], color=GREEN)
    for x, y in places[::EACH]:
        say(ax, text.format(percent(x / 100), percent(y / 100)), (x, y))
    ax.set_xlim(0, 100)
    ax.set_ylim(0, 100)
    within_percent(ax)
