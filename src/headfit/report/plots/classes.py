"""Recall, precision and F1 of each class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headfit.report.marks import say
from headfit.report.plots.style import BLUE, GREEN, ORANGE, finish, new_axes, plain, within_percent
from headfit.report.text import titles
from headfit.report.text.numbers import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 30
KINDS = (("recall", ORANGE, "s"), ("precision", BLUE, "o"), ("f1", GREEN, "D"))


def classes(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw recall, precision and F1 of each class, the weakest on top; at most 30 classes.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.
    """
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
        text = f"{name}: {text.replace('f1', 'F1')}; {row['images']:,} images"
        say(ax, text, *(spots or [(0, y)]), label=name)
    ax.set_yticks(range(len(shown)), [plain(row["name"], 24) for row in shown])
    ax.grid(alpha=0.3)
    ax.legend(fontsize="small", frameon=False, ncols=3, loc="upper left", bbox_to_anchor=(0, -0.22))
    within_percent(ax, "x")
    return finish(ax, titles.classes(rows, len(shown)), "%")
