"""Posterior of the difference between flatten and gap."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtrit

from headfit.report.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    finish,
    ink,
    needed,
    new_axes,
)
from headfit.report.text import titles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
    df = len(results["candidates"][0]["balanced_accuracy"]["folds"]) - 1
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
    ax.plot(100 * grid, density, color=ink(), lw=1.2)
    inside = np.abs(grid) <= rope
    for part, shade in ((grid < -rope, BLUE), (inside, GREY), (grid > rope, ORANGE)):
        ax.fill_between(100 * grid, density, where=part.tolist(), color=shade, alpha=0.55, lw=0)
    ax.axvspan(-100 * rope, 100 * rope, color=GREEN, alpha=0.15, lw=0)
    ax.axvline(0, color=ink(), lw=0.8, ls=":")
    ax.set_yticks([])
    ax.set_ylim(0)
    title = titles.posterior(results)
    return finish(ax, title, "flatten − gap in points of balanced accuracy; band: ROPE", "density")


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
