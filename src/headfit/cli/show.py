"""A study as text: the table, the verdict, the score on the test split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from headfit.cli.forest import Axis, Range, add_axis, draw, print_with_forest
from headfit.cli.show_grid import grid_table
from headfit.cli.tables import standings_table
from headfit.model.metadata import kept_models
from headfit.report.text.reliability import on_test_split, trust
from headfit.report.text.table import shown, table_rows

# two lines each, so that the table fits a terminal of 80 columns
COLUMNS = (
    "\nhead",
    "bal.\nacc. %",
    "95 %\ninterval",
    "log-\nloss",
    "\nparameters",
    "% of\nmodel",
    "overfit\npoints",
    "train\ns",
)
# cells that so many of them take beside the names; report.html has all
ROOM = ((61, 8), (44, 6), (25, 4))
NAME = 34  # cells; longer names are folded
BEST = 10  # rows of a grid; its other table has all

ANSWERS = {
    "necessary": "necessary",
    "position_needed": "not necessary (position is)",
    "not_necessary": "not necessary",
    "equivalent": "equivalent to gap",
    "undecided": "undecided",
}


def show_study(console: Console, results: dict[str, Any], out: str) -> None:
    """Print what a person wants to know of a comparison."""
    plain = console.options.ascii_only
    print_with_forest(
        console,
        study_ranges(results),
        lambda axis: study_table(results, axis, width=console.width, ascii_only=plain),
    )
    console.print()
    console.print(results["verdict"]["sentence"], markup=False)
    if len(results["backbones"]) > 1:
        if not _of_backbones(results):
            console.print(grid_table(results))
            console.print()
        else:
            console.print(_answers_line(results), markup=False)
        console.print(_fronts_line(results), markup=False)
    for part in ("where", "learning_curve"):
        if results[part]:
            console.print(results[part]["sentence"], markup=False)
    console.print(trust(results["reliability"]), markup=False)
    if results["test"]:
        console.print(on_test_split(results["test"]), markup=False)
    if results["precision"]:
        console.print(results["precision"]["sentence"], markup=False)
    files = "report.html, model.keras, results.json, predictions.csv, suspects.csv"
    console.print(f"Written: {out}/{files}", markup=False)
    kept = sorted(path.name for path in kept_models(Path(out)))
    if kept:
        console.print(f"Kept: {out}/heads/{', '.join(kept)}", markup=False)


def study_table(
    results: dict[str, Any],
    axis: Axis | None = None,
    *,
    width: int = 80,
    ascii_only: bool = False,
) -> Table:
    """Make the table of heads, best first; the recommended one is marked.

    Args:
        results: content of ``results.json``.
        axis: of the plot in a last column; None for none.
        width: of the terminal; where it is narrow or names are long there are fewer columns.
        ascii_only: whether the plot does without the characters of boxes.
    """
    settings, images = results["settings"], results["images"]
    title = (
        f"{_places(results)}, "
        f"{images['used']:,} images, {len(images['classes'])} classes, "
        f"{settings['repeats']} × {settings['folds']} folds"
    )
    rows, count = _shown(results), len(results["candidates"])
    if len(rows) < count:
        title += f"; the best {BEST} of {count}"
    columns = _columns(rows, width)
    table = standings_table(title, COLUMNS[:columns])
    if axis:
        add_axis(table, axis)
    for row, drawn in zip(rows, study_ranges(results), strict=True):
        plot = [draw(drawn, axis, ascii_only=ascii_only)] if axis else []
        table.add_row(
            *[f"{drawn.mark} {row['head']}", *shown(row)][:columns],
            *plot,
            style="bold" if drawn.chosen else "",
        )
    return table


def _columns(rows: list[dict[str, Any]], width: int) -> int:
    """Count the columns for which there is room beside the names."""
    names = 2 + min(NAME, max(cell_len(row["head"]) for row in rows))
    return next((columns for cells, columns in ROOM if width - cells >= names), ROOM[-1][1])


def study_ranges(results: dict[str, Any]) -> list[Range]:
    """Give the scores of the table's rows, in their order."""
    recommended = results["verdict"]["recommended"]
    return [
        Range(
            row["head"],
            row["balanced_accuracy"],
            row["low"],
            row["high"],
            "→" if row["head"] == recommended else " ",
            row["head"] == recommended,
        )
        for row in _shown(results)
    ]


def _shown(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Give all heads of a backbone; of a grid the best and the recommended one."""
    rows = table_rows(results)
    if _of_backbones(results) or len(rows) <= BEST:
        return rows
    recommended = results["verdict"]["recommended"]
    return rows[:BEST] + [row for row in rows[BEST:] if row["head"] == recommended]


def _places(results: dict[str, Any]) -> str:
    if _of_backbones(results):
        return ", ".join(map(_backbone, results["backbones"]))
    names = dict.fromkeys(each["backbone"] for each in results["backbones"])
    return f"{', '.join(names)} in {len(results['backbones'])} combinations of size and cut"


def _of_backbones(results: dict[str, Any]) -> bool:
    """Whether what is compared differs by nothing but the backbone."""
    found = results["backbones"]
    return len({each["backbone"] for each in found}) == len(found)


def _backbone(described: dict[str, Any]) -> str:
    weights = described["weights"]
    other = "" if weights == "imagenet" else f" ({Path(weights).name} weights)"
    cut = f" to {described['cut']}" if described["cut"] else ""
    return f"{described['backbone']}{cut}{other} at {described['input_size']} px"


def _answers_line(results: dict[str, Any]) -> str:
    """Say what is found on each backbone."""
    words = [
        f"{ANSWERS[each['verdict']['flatten']]} on {each['name']}" for each in results["backbones"]
    ]
    return f"Flatten is {', '.join(words)}."


def _fronts_line(results: dict[str, Any]) -> str:
    """Say which candidates no other beats at their cost."""
    fronts = [
        f"by {cost}: {', '.join(c['name'] for c in results['candidates'] if c['pareto'][cost])}"
        for cost in ("parameters", "latency")
    ]
    return f"No other does better at less cost, {'; '.join(fronts)}."
