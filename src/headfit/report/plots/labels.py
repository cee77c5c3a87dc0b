"""Plots of several labels: how well each is told, and which come together."""

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
    new_axes,
    of_kind,
    plain,
    within_percent,
)
from headfit.report.text import titles
from headfit.report.text.numbers import percent
from headfit.util.nouns import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 30
KINDS = {
    "average_precision": ("average precision", GREEN, "D"),
    "f1": ("F1", GREY, "^"),
    "recall": ("recall", ORANGE, "s"),
    "precision": ("precision", BLUE, "o"),
}


def labels(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw average precision, F1, recall and precision of each label, the weakest on top.

    At most 30 labels.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.

    Raises:
        UsageError: the run does not predict labels.
    """
    of_kind(results, "labels", "labels")
    rows = sorted(results["reliability"]["labels"], key=lambda row: row["average_precision"] or 0.0)
    shown = rows[:MOST][::-1]
    ax = new_axes(ax, 1.5 + 0.24 * len(shown))
    for kind, (name, shade, sign) in KINDS.items():
        marks = [(100 * r[kind], y) for y, r in enumerate(shown) if r[kind] is not None]
        ax.plot([x for x, _ in marks], [y for _, y in marks], sign, color=shade, label=name, ms=5)
    for y, row in reversed(list(enumerate(shown))):
        text = ", ".join(f"{name} {percent(row[kind])} %" for kind, (name, *_) in KINDS.items())
        spots = [(100 * row[kind], y) for kind in KINDS if row[kind] is not None]
        text = f"{row['name']}: {text}; {counted(row['images'], 'image')}"
        say(ax, text, *(spots or [(0, y)]), label=row["name"])
    ax.set_yticks(range(len(shown)), [plain(row["name"], 24) for row in shown])
    ax.grid(alpha=0.3)
    ax.legend(fontsize="small", frameon=False, ncols=2, loc="upper left", bbox_to_anchor=(0, -0.22))
    within_percent(ax, "x")
    return finish(ax, titles.labels(rows, len(shown)), "%")


NUMBERED = 15  # labels; more numbers are too small to read
NAMED = 40


def cooccurrence(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw how many images have both of two labels, shaded by their share of a row's images.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.

    Raises:
        UsageError: the run does not predict labels.
    """
    of_kind(results, "cooccurrence", "labels")
    reliability = results["reliability"]
    counts = np.array(reliability["cooccurrence"])
    full = [row["name"] for row in reliability["labels"]]
    names = [plain(name, 16) for name in full]
    shares = counts / np.maximum(counts.diagonal()[:, None], 1)
    ax = new_axes(ax, 4.2)
    ax.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    if len(names) <= NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                shade = "black" if shares[row, column] > 0.5 else "white"
                ax.text(column, row, f"{count}", ha="center", va="center", color=shade, size=8)
    if len(names) <= NAMED:
        places = range(len(names))
        ax.set_xticks(places, names, rotation=90, fontsize="small")
        ax.set_yticks(places, names, fontsize="small")
    return finish(ax, titles.cooccurrence(counts, full), "have this label too", "images with")
