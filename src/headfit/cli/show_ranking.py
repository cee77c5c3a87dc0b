"""Run a ranking and show it: progress, the table, what to do next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from headfit.backbones.weights import IMAGENET
from headfit.cli.console import ConsoleCallback, output
from headfit.cli.forest import Axis, Range, add_axis, draw, print_with_forest
from headfit.cli.tables import print_json, standings_table
from headfit.cli.wording import in_command_line_words
from headfit.report.text.ranking import label
from headfit.runs.map_source import Images
from headfit.runs.rank import rank
from headfit.runs.ranking import shown

# two lines each, so that the table fits a terminal of 80 columns
COLUMNS = (
    "\nbackbone",
    "bal.\nacc. %",
    "95 %\ninterval",
    "points\nbehind",
    "\nparameters",
    "ms an\nimage",
)


def run_ranking(images: Images, as_json: bool, **arguments: Any) -> None:
    """Rank and show."""
    with ConsoleCallback() as callback:
        ranking = rank(images, callbacks=callback, **arguments)
    if as_json:
        print_json(ranking.results)
    else:
        show_ranking(output(), ranking.results)


def show_ranking(console: Console, results: dict[str, Any]) -> None:
    """Print the table, the result and the command to run next."""
    plain = console.options.ascii_only
    print_with_forest(
        console,
        ranking_ranges(results),
        lambda axis: ranking_table(results, axis, ascii_only=plain),
    )
    rows = results["backbones"]
    if len(rows) > 1:
        equal = any(row["within_noise"] for row in rows[1:])
        console.print("→ best" + ("   ≈ within the noise of the best" if equal else ""))
    console.print()
    for failed in results["failed"]:
        name = label(failed["backbone"], failed["weights"])
        console.print(
            in_command_line_words(f"Not ranked: {name}: {failed['reason']}"), markup=False
        )
    console.print(in_command_line_words(results["sentence"]), markup=False)
    # in one piece, to be copied
    console.print(f"Next: {results['next']}", markup=False, soft_wrap=True)
    console.print("Its feature maps are stored: no second pass is needed.", markup=False)


def ranking_table(
    results: dict[str, Any], axis: Axis | None = None, *, ascii_only: bool = False
) -> Table:
    """Make the table of backbones, best first.

    Args:
        results: of the ranking.
        axis: of the plot in a last column; None for none.
        ascii_only: whether the plot does without the characters of boxes.
    """
    images = results["images"]
    title = f"{images['used']:,} images, {len(images['classes'])} classes, each left out in turn"
    table = standings_table(title, COLUMNS)
    if axis:
        add_axis(table, axis)
    for row, drawn in zip(results["backbones"], ranking_ranges(results), strict=True):
        plot = [draw(drawn, axis, ascii_only=ascii_only)] if axis else []
        table.add_row(*_cells(row, drawn), *plot, style="bold" if drawn.chosen else "")
    return table


def ranking_ranges(results: dict[str, Any]) -> list[Range]:
    """Give the scores of the table's rows, in their order."""
    ranges = []
    for number, row in enumerate(results["backbones"]):
        score, best = row["balanced_accuracy"], number == 0
        mark = "→" if best else "≈" if row["within_noise"] else " "
        name = label(row["backbone"], row["weights"])
        ranges.append(Range(name, score["mean"], score["low"], score["high"], mark, best))
    return ranges


def _cells(row: dict[str, Any], drawn: Range) -> list[str]:
    weights = "" if row["weights"] == IMAGENET else f"\n  {Path(row['weights']).name} weights"
    return [f"{drawn.mark} {row['backbone']}{weights}", *shown(row, drawn.chosen)]
