"""How much better each head is on what it was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headfit.report.plots.style import colour, errors, finish, ink, new_axes, plain, ranked

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def overfit(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw the overfit gap of each head, balanced accuracy on training minus held-out images.

    Bars have 95 % intervals.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.
    """
    rows = sorted(ranked(results), key=lambda row: row["overfit_gap"]["mean"] or 0, reverse=True)
    ax = new_axes(ax, 1.2 + 0.26 * len(rows))
    reach = [errors(row["overfit_gap"]) for row in rows]
    ax.barh(
        range(len(rows)),
        [100 * (row["overfit_gap"]["mean"] or 0) for row in rows],
        xerr=[[below for below, _ in reach], [above for _, above in reach]],
        color=[colour(row["head"]) for row in rows],
        ecolor=ink(),
        capsize=3,
        height=0.6,
    )
    ax.set_yticks(range(len(rows)), [plain(row["name"], 34) for row in rows])
    ax.axvline(0, color=ink(), lw=0.8)
    most, least = rows[0], rows[-1]
    title = (
        f"{most['name']} overfits most, by {100 * (most['overfit_gap']['mean'] or 0):.1f} points; "
        f"{least['name']} least, by {100 * (least['overfit_gap']['mean'] or 0):.1f}"
    )
    finish(ax, title, "training − held-out accuracy in points")
    # beside long names there is little room
    ax.set_xlabel(ax.get_xlabel(), loc="right")
    return ax
