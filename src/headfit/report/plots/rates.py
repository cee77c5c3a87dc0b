"""The plot of a sweep of learning rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from headfit.report.plots.style import BLUE, GREY, ORANGE, finish, new_axes
from headfit.report.text.lr_find import rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def rates(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw the loss against the learning rate, and the rate that is suggested.

    Args:
        results: of :func:`headfit.lr_find`.
        ax: axes to draw into; new ones if None.
    """
    ax = new_axes(ax)
    steps = results["steps"]
    places = [step["learning_rate"] for step in steps]
    losses, averages = (
        np.array([step[name] for step in steps], float) for name in ("loss", "average")
    )
    ax.plot(places, losses, ".", color=GREY, ms=4, label="each step")
    ax.plot(places, averages, color=BLUE, label="average")
    suggested = results["learning_rate"]
    if suggested is not None:
        ax.axvline(suggested, color=ORANGE, ls="--", label=f"suggested, {rate(suggested)}")
    ax.set_xscale("log")
    most = float(np.nanmax(averages)) if np.isfinite(averages).any() else 1.0
    ax.set_ylim(0, max(1.1 * most, 1e-3))
    ax.grid(axis="y", alpha=0.3)
    ax.legend(fontsize="small", frameon=False, loc="upper left")
    title = (
        f"A learning rate of {rate(suggested)} is suggested"
        if suggested is not None
        else "The loss does not fall at any learning rate"
    )
    return finish(ax, title, "learning rate of the last stage, log scale", "training loss")
