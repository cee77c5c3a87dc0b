"""The plot of a fine-tuning: what each row brings beyond the frozen head, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headfit.report.marks import belongs, say
from headfit.report.plots.style import (
    BLUE,
    GREEN,
    errors,
    finish,
    ink,
    needed,
    new_axes,
    plain,
)
from headfit.report.text import finetune, titles
from headfit.report.text.metrics import metric_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def gains(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw each row minus the frozen head with its 95 % interval, and its training time.

    Args:
        results: as in ``results.json``.
        ax: axes to draw into; new ones if None.

    Raises:
        UsageError: the results are not those of ``headfit.finetune``.
    """
    measured = needed(results.get("finetune"), "gains of fine-tuning", "run finetune")
    metric = metric_of(results["verdict"])
    rows = measured["gains"][::-1]
    ax = new_axes(ax, 1.2 + 0.3 * len(rows))
    rope = metric.scale * results["settings"]["rope"]
    ax.axvspan(-rope, rope, color=GREEN, alpha=0.15, lw=0)
    ax.axvline(0, color=ink(), lw=0.8, ls=":")
    for place, row in enumerate(rows):
        below, above = errors(row["difference"], metric.scale)
        drawn = ax.errorbar(
            metric.scale * row["difference"]["mean"],
            place,
            xerr=[[below], [above]],
            fmt="D",
            color=BLUE,
            capsize=3,
        )
        belongs(ax, row["name"], drawn.get_children())
    ax.set_yticks(range(len(rows)), [_name(row) for row in rows])
    for row, label in zip(rows, ax.get_yticklabels(), strict=True):
        belongs(ax, row["name"], [label])
    for place, row in reversed(list(enumerate(rows))):
        below, above = errors(row["difference"], metric.scale)
        at = metric.scale * row["difference"]["mean"]
        text = f"{row['name']}: {row['sentence']}"
        say(ax, text, (at, place), (at - below, place), (at + above, place), head=row["name"])
    ax.margins(y=0.25)
    ax.grid(axis="x", alpha=0.3)
    finish(ax, titles.gains(results), f"{metric.unit} beyond frozen; band: ROPE")
    # beside long names there is little room
    ax.set_xlabel(ax.get_xlabel(), loc="right")
    return ax


def _name(row: dict[str, Any]) -> str:
    return f"{plain(row['name'], 24)}\n{finetune.times(row['train_seconds_ratio'])} time"
