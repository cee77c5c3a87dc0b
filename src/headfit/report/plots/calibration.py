"""Reliability diagram: how far probabilities can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headfit.report.marks import say
from headfit.report.plots.style import GREEN, finish, ink, needed, new_axes, within_percent
from headfit.report.text import titles
from headfit.report.text.numbers import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def calibration(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw how often predictions are right against their probability.

    For the recommended head, on held-out images, before the temperature is applied.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.

    Raises:
        UsageError: an older version wrote the results, without these bins.
    """
    reliability = results["reliability"]
    bins = needed(reliability.get("bins"), "bins of the reliability diagram", "run compare again")
    ax = new_axes(ax, 3.4)
    ax.plot([0, 100], [0, 100], color=ink(), lw=0.8, ls=":")
    accuracy = [100 * each["accuracy"] for each in bins]
    ax.errorbar(
        [100 * each["confidence"] for each in bins],
        accuracy,
        yerr=[
            [a - 100 * each["low"] for a, each in zip(accuracy, bins, strict=True)],
            [100 * each["high"] - a for a, each in zip(accuracy, bins, strict=True)],
        ],
        fmt="D-",
        ms=4,
        color=GREEN,
        capsize=2,
        elinewidth=0.8,
    )
    for each in bins:
        x = 100 * each["confidence"]
        text = (
            f"probability {percent(each['confidence'])} %: {percent(each['accuracy'])} % right "
            f"({percent(each['low'])} to {percent(each['high'])}), {each['images']:,.6g} images"
        )
        say(ax, text, *((x, 100 * each[key]) for key in ("accuracy", "low", "high")))
    ax.set_xlim(0, 100)
    ax.set_ylim(0, 100)
    within_percent(ax)
    x = "probability of the prediction in %; dotted: ideal"
    return finish(ax, titles.calibration(results), x, "share that is right in %")
