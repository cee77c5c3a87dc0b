"""Plots of several labels: how well each is told, and which come together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from headfit.report.plots.shares import MOST, Mark, draw_counts, draw_rows
from headfit.report.plots.style import BLUE, GREEN, GREY, ORANGE, finish, of_kind
from headfit.report.text import titles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKS = (
    Mark("average_precision", "average precision", "average precision", GREEN, "D"),
    Mark("f1", "F1", "F1", GREY, "^"),
    Mark("recall", "recall", "recall", ORANGE, "s"),
    Mark("precision", "precision", "precision", BLUE, "o"),
)


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
    shown = rows[:MOST]
    ax = draw_rows(shown, MARKS, ax, columns=2)
    return finish(ax, titles.labels(rows, len(shown)), "%")


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
    shares = counts / np.maximum(counts.diagonal()[:, None], 1)
    ax = draw_counts(counts, shares, full, ax, str)
    return finish(ax, titles.cooccurrence(counts, full), "have this label too", "images with")
