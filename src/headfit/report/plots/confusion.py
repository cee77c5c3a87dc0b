"""Confusion matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from headfit.report.plots.style import finish, new_axes, plain
from headfit.report.text import titles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NUMBERED = 15  # classes; more numbers are too small to read
NAMED = 40


def confusion(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw the confusion matrix: a row for each label, shaded by its share of predictions.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.
    """
    reliability = results["reliability"]
    counts = np.array(reliability["confusion"])
    names = [plain(row["name"], 16) for row in reliability["classes"]]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax = new_axes(ax, 4.2)
    ax.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    if len(names) <= NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                shade = "black" if shares[row, column] > 0.5 else "white"
                ax.text(
                    column, row, f"{count}", ha="center", va="center", color=shade, fontsize="small"
                )
    if len(names) <= NAMED:
        places = range(len(names))
        ax.set_xticks(places, names, rotation=90, fontsize="small")
        ax.set_yticks(places, names, fontsize="small")
    title = titles.confusion(counts, [row["name"] for row in reliability["classes"]])
    return finish(ax, title, "predicted", "labelled")
