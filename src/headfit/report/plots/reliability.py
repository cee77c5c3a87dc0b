"""Plots of the reliability: probabilities, classes, confusions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from headfit.images.targets import CLASS
from headfit.report.marks import say
from headfit.report.plots.style import (
    BLUE,
    GREEN,
    ORANGE,
    finish,
    ink,
    needed,
    new_axes,
    of_kind,
    plain,
    within_percent,
)
from headfit.report.text import titles
from headfit.report.text.numbers import mean_count, percent
from headfit.report.text.targets import kind_of
from headfit.util.nouns import counted

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


MOST = 30
KINDS = (("recall", ORANGE, "s"), ("precision", BLUE, "o"), ("f1", GREEN, "D"))


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
    shown = rows[:MOST][::-1]
    ax = new_axes(ax, 1.5 + 0.24 * len(shown))
    for kind, shade, sign in KINDS:
        marks = [(100 * r[kind], y) for y, r in enumerate(shown) if r[kind] is not None]
        ax.plot([x for x, _ in marks], [y for _, y in marks], sign, color=shade, label=kind, ms=5)
    for y, row in reversed(list(enumerate(shown))):
        text = ", ".join(f"{kind} {percent(row[kind])} %" for kind, _, _ in KINDS)
        spots = [(100 * row[kind], y) for kind in ("f1", "recall", "precision") if row[kind]]
        name = row["name"]
        text = f"{name}: {text.replace('f1', 'F1')}; {counted(row['images'], 'image')}"
        say(ax, text, *(spots or [(0, y)]), label=name)
    ax.set_yticks(range(len(shown)), [plain(row["name"], 24) for row in shown])
    ax.grid(alpha=0.3)
    ax.legend(fontsize="small", frameon=False, ncols=3, loc="upper left", bbox_to_anchor=(0, -0.22))
    within_percent(ax, "x")
    return finish(ax, titles.classes(rows, len(shown)), "%")


NUMBERED = 15  # classes; more numbers are too small to read
NAMED = 40


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
    names = [plain(row["name"], 16) for row in reliability["classes"]]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax = new_axes(ax, 4.2)
    ax.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    if len(names) <= NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                ax.text(
                    column,
                    row,
                    mean_count(count).replace(",", ""),
                    ha="center",
                    va="center",
                    color="black" if shares[row, column] > 0.5 else "white",
                    fontsize="small",
                )
    if len(names) <= NAMED:
        places = range(len(names))
        ax.set_xticks(places, names, rotation=90, fontsize="small")
        ax.set_yticks(places, names, fontsize="small")
    title = titles.confusion(counts, [row["name"] for row in reliability["classes"]])
    return finish(ax, title, "predicted", "labelled")
