"""Plots of the reliability: probabilities, classes, confusions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from headfit.images.targets import CLASS
from headfit.report.marks import say
from headfit.report.plots.shares import MOST, Mark, draw_counts, draw_rows
from headfit.report.plots.style import (
    BLUE,
    GREEN,
    ORANGE,
    finish,
    ink,
    needed,
    new_axes,
    of_kind,
    within_percent,
)
from headfit.report.text import titles
from headfit.report.text.numbers import mean_count, percent
from headfit.report.text.targets import kind_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def calibration(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw how often predictions are right against their probability.

    For the recommended head, on held-out images, before the temperature is applied. Several
    labels are as many predictions of an image, each that the label is there, or that it is not.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.

    Raises:
        UsageError: an older version wrote the results, without these bins, or the run predicts
            numbers.
    """
    of_kind(results, "calibration", "class", "labels")
    reliability = results["reliability"]
    bins = needed(reliability.get("bins"), "bins of the reliability diagram", "run compare again")
    unit = "images" if kind_of(results) == CLASS else "pairs of image and label"
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
            f"({percent(each['low'])} to {percent(each['high'])}), {each['images']:,.6g} {unit}"
        )
        say(ax, text, *((x, 100 * each[key]) for key in ("accuracy", "low", "high")))
    ax.set_xlim(0, 100)
    ax.set_ylim(0, 100)
    within_percent(ax)
    x = "probability of the prediction in %; dotted: ideal"
    return finish(ax, titles.calibration(results), x, "share that is right in %")


MARKS = (
    Mark("recall", "recall", "recall", ORANGE, "s"),
    Mark("precision", "precision", "precision", BLUE, "o"),
    Mark("f1", "F1", "f1", GREEN, "D"),
)


def classes(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw recall, precision and F1 of each class, the weakest on top; at most 30 classes.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.

    Raises:
        UsageError: the run does not predict classes.
    """
    of_kind(results, "classes", CLASS)
    rows = sorted(results["reliability"]["classes"], key=lambda row: row["f1"] or 0)
    shown = rows[:MOST]
    ax = draw_rows(shown, MARKS, ax, columns=3)
    return finish(ax, titles.classes(rows, len(shown)), "%")


def confusion(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw the confusion matrix: a row for each label, shaded by its share of predictions.

    Numbers are means over repeats.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.

    Raises:
        UsageError: the run does not predict classes.
    """
    of_kind(results, "confusion", CLASS)
    reliability = results["reliability"]
    counts = np.array(reliability["confusion"])
    names = [row["name"] for row in reliability["classes"]]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax = draw_counts(counts, shares, names, ax, lambda count: mean_count(count).replace(",", ""))
    return finish(ax, titles.confusion(counts, names), "predicted", "labelled")
