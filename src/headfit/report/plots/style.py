"""What all plots share: colours, axes, titles, and the error of missing numbers.

Colours are those of Okabe and Ito, which people with any colour vision can tell apart; each head
has a marker too. Their contrast is at least 3:1 on white and on the page's dark background.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from headfit.errors import UsageError
from headfit.report.text.metrics import bounds
from headfit.report.text.numbers import enumerated
from headfit.report.text.table import ranked as best_first
from headfit.report.text.targets import NOUNS, kind_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#808080"
_COLOURS = {"gap": BLUE, "flatten": ORANGE}
_MARKERS = {"gap": "o", "flatten": "s"}
TITLE_WIDTH = 52  # characters
MOST = 20  # candidates in one plot


def new_axes(ax: Axes | None, height: float = 3.0) -> Axes:
    """Return ``ax``, or new axes of 4.6 by ``height`` inches if it is None."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt  # noqa: PLC0415  (heavy)

    return plt.subplots(figsize=(4.6, height), layout="constrained")[1]


def finish(ax: Axes, title: str, x: str = "", y: str = "") -> Axes:
    """Set the title, which states the result, and the labels of axes."""
    ax.set_title(textwrap.fill(plain(title), TITLE_WIDTH), loc="left", fontsize="medium")
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def within(ax: Axes, metric: str, *directions: str) -> None:
    """End axes where a metric ends; marks that lie on the edge stay whole.

    Args:
        ax: the axes, with everything drawn.
        metric: name of a primary metric.
        directions: ``"x"``, ``"y"`` or both.
    """
    _end(ax, bounds(metric), directions)


def within_percent(ax: Axes, *directions: str) -> None:
    """End axes that show per cent at 0 and 100; see :func:`within`."""
    _end(ax, (0.0, 100.0), directions)


def _end(ax: Axes, ends: tuple[float | None, float | None], directions: tuple[str, ...]) -> None:
    least, most = ends
    for direction in directions:
        low, high = getattr(ax, f"get_{direction}lim")()
        low = low if least is None else max(least, low)
        high = high if most is None else min(most, high)
        getattr(ax, f"set_{direction}lim")(low, high)
    for artist in (*ax.lines, *ax.collections):
        artist.set_clip_on(False)


def ink() -> str:
    """Give the colour of text and of lines that are not data."""
    import matplotlib as mpl  # noqa: PLC0415  (heavy)

    return str(mpl.rcParams["text.color"])


def colour(head: str) -> str:
    """Give the colour of a head."""
    return _COLOURS.get(head, GREEN)


def marker(head: str) -> str:
    """Give the marker of a head."""
    return _MARKERS.get(head, "D")


def plain(text: str, longest: int = 200) -> str:
    """Make a name safe to draw: on one line, shortened, with dollar signs escaped.

    A dollar sign would start a formula.
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    short = line if len(line) <= longest else f"{line[: longest - 1]}…"
    return short.replace("$", r"\$")


def needed(value: Any, what: str, remedy: str) -> Any:
    """Return ``value`` if the run measured it.

    Raises:
        UsageError: it did not.
    """
    if not value:
        raise UsageError(f"These results hold no {what}; {remedy}.")
    return value


def of_kind(results: dict[str, Any], plot: str, *kinds: str) -> None:
    """Check that a plot is of the kind of target that a run is of.

    Args:
        results: as in ``results.json``.
        plot: its name.
        kinds: those that it is for.

    Raises:
        UsageError: it is not.
    """
    kind = kind_of(results)
    if kind not in kinds:
        wanted = " or ".join(NOUNS[each][1] for each in kinds)
        other = enumerated([f"'{name}'" for name in INSTEAD[kind]], "or")
        raise UsageError(
            f"The plot '{plot}' shows {wanted}, and this run predicts {NOUNS[kind][1]}. "
            f"Draw {other}."
        )


INSTEAD = {
    "class": ("classes", "confusion", "calibration"),
    "labels": ("labels", "cooccurrence", "calibration"),
    "number": ("predicted_true", "residuals"),
}
"""What there is of each kind of target alone."""


def ranked(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the best ``MOST`` candidates, best first, and the recommended one in any case."""
    chosen = results["verdict"]["recommended"]
    rows = best_first(results)
    return rows[:MOST] + [row for row in rows[MOST:] if row["name"] == chosen]


def beside(results: dict[str, Any], head: str) -> str:
    """Name the candidate with this head on the backbone of the recommended one."""
    chosen = results["verdict"]["recommended"]
    row = next(row for row in results["candidates"] if row["name"] == chosen)
    return f"{chosen.removesuffix(row['head'])}{head}"


def errors(score: dict[str, Any], scale: float) -> tuple[float, float]:
    """Give how far the interval reaches below and above the mean; 0 if unknown.

    Args:
        score: with ``mean``, ``low`` and ``high``.
        scale: what it is multiplied by; see :class:`headfit.report.text.metrics.Metric`.
    """
    if score["low"] is None or score["high"] is None:
        return 0.0, 0.0
    return scale * (score["mean"] - score["low"]), scale * (score["high"] - score["mean"])
