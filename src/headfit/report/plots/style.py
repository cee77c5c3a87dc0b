"""What all plots share: colours, axes, titles, and the error of missing numbers.

Colours are those of Okabe and Ito, which people with any colour vision can tell apart; each head
has a marker too. Their contrast is at least 3:1 on white and on the page's dark background.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from headfit.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#808080"
_COLOURS = {"gap": BLUE, "flatten": ORANGE}
_MARKERS = {"gap": "o", "flatten": "s"}
TITLE_WIDTH = 52  # characters
MOST = 20  # candidates in one plot
SCORE = "balanced accuracy in %"


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


def within_percent(ax: Axes, *directions: str) -> None:
    """End axes that show per cent at 0 and 100; marks that lie on the edge stay whole.

    Args:
        ax: the axes, with everything drawn.
        directions: ``"x"``, ``"y"`` or both.
    """
    for direction in directions:
        low, high = getattr(ax, f"get_{direction}lim")()
        getattr(ax, f"set_{direction}lim")(max(0.0, low), min(100.0, high))
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


def ranked(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the best ``MOST`` candidates, best first, and the recommended one in any case."""
    chosen = results["verdict"]["recommended"]
    rows = sorted(results["candidates"], key=lambda c: -c["balanced_accuracy"]["mean"])
    return rows[:MOST] + [row for row in rows[MOST:] if row["name"] == chosen]


def beside(results: dict[str, Any], head: str) -> str:
    """Name the candidate with this head on the backbone of the recommended one."""
    chosen = results["verdict"]["recommended"]
    row = next(row for row in results["candidates"] if row["name"] == chosen)
    return f"{chosen.removesuffix(row['head'])}{head}"


def errors(score: dict[str, Any]) -> tuple[float, float]:
    """Give how far the interval reaches below and above the mean, in percent; 0 if unknown."""
    if score["low"] is None or score["high"] is None:
        return 0.0, 0.0
    return 100 * (score["mean"] - score["low"]), 100 * (score["high"] - score["mean"])
