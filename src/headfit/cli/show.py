"""A comparison on one screen: the answer, the table, a line for each subject."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from headfit.cli.forest import LEAST, Axis, Range, add_axis, draw, print_with_forest
from headfit.cli.tables import literal, standings_table
from headfit.model.metadata import kept_models
from headfit.report.text import metrics, summary
from headfit.report.text.board import answer
from headfit.report.text.metrics import METRICS, metric_of
from headfit.report.text.table import shown, table_rows
from headfit.report.text.targets import counted_names, kind_of

# cells that so many of them take beside the names; report.html has all
ROOM = ((63, 8), (46, 6), (39, 5), (27, 4))
NAME = 34  # cells; longer names are folded
BEST = 10  # rows at most; report.html has all
GRID_HEADS = 6  # columns of the table of sizes and cuts


def show_study(
    console: Console,
    results: dict[str, Any],
    out: str,
    closing: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Print the summary of a comparison: the answer, the advice, the table, a line for the rest.

    Args:
        console: where.
        results: content of ``results.json``.
        out: folder of the results.
        closing: lines that end the summary, by their labels; empty ones are left out.
    """
    plain = console.options.ascii_only
    console.print(literal(summary.answer(results["verdict"])), style="bold")
    console.print(literal(summary.advice(results)))
    console.print()
    print_with_forest(
        console,
        study_ranges(results),
        lambda axis: study_table(results, axis, width=console.width, ascii_only=plain),
        metric_of(results["verdict"]),
    )
    if len(results["candidates"]) > 1:
        console.print("→ recommended: the fewest parameters within one standard error of the best")
    console.print()
    if not _of_backbones(results):
        console.print(grid_table(results))
        console.print()
    lines = summary.subjects(results)
    if len(results["backbones"]) > 1 and _of_backbones(results) and not results.get("finetune"):
        lines = {"Backbones": _answers_line(results), **lines}
    table = Table.grid(padding=(0, 2))
    for label, line in {**lines, "Files": _files_line(Path(out)), **closing}.items():
        if line:
            table.add_row(Text(label, "bold"), literal(line))
    console.print(table)


def _files_line(out: Path) -> str:
    models = [f"heads/{path.name}" for path in kept_models(out)]
    return (
        f"{out}: {', '.join(['report.html', 'model.keras', *sorted(models)])}, results.json, *.csv"
    )


def study_table(
    results: dict[str, Any], axis: Axis | None = None, *, width: int = 80, ascii_only: bool = False
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
        f"{images['used']:,} images, {counted_names(kind_of(results), images['classes'])}, "
        f"{settings['repeats']} × {settings['folds']} folds"
    )
    rows, count = _shown(results), len(results["candidates"])
    if len(rows) < count:
        title += f"; the best {BEST} of {count}"
    columns = _columns(rows, width)
    table = standings_table(title, _headings(results)[:columns])
    if axis:
        add_axis(table, axis)
    for row, drawn in zip(rows, study_ranges(results), strict=True):
        plot = [draw(drawn, axis, ascii_only=ascii_only)] if axis else []
        table.add_row(
            *[f"{drawn.mark} {row['head']}", *shown(row, results["verdict"])][:columns],
            *plot,
            style="bold" if drawn.chosen else "",
        )
    return table


def _headings(results: dict[str, Any]) -> list[str]:
    """Name the columns in two lines each, so that the table fits a terminal of 80 columns."""
    key = metrics.primary(results["verdict"])
    metric, loss = METRICS[key], METRICS[metrics.loss_key(key)]
    return [
        "\nhead",
        metric.column,
        "95 %\ninterval",
        loss.column,
        "trained\nparameters" if results.get("finetune") else "\nparameters",
        "% of\nmodel",
        "overfit\npoints" if metric.is_share else f"overfit\n{metric.name}",
        "train\ns",
    ]


def _columns(rows: list[dict[str, Any]], width: int) -> int:
    """Count the columns for which there is room beside the names, and beside the plot if it can."""
    names = 2 + min(NAME, max(cell_len(row["head"]) for row in rows))
    for room in (width - names - LEAST - 2, width - names):
        for cells, columns in ROOM:
            if cells <= room:
                return columns
    return ROOM[-1][1]


def study_ranges(results: dict[str, Any]) -> list[Range]:
    """Give the scores of the table's rows, in their order."""
    recommended, key = results["verdict"]["recommended"], metrics.primary(results["verdict"])
    return [
        Range(
            row["head"],
            row[key],
            row["low"],
            row["high"],
            "→" if row["head"] == recommended else " ",
            row["head"] == recommended,
        )
        for row in _shown(results)
    ]


def _shown(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the best rows, and that of the recommended head."""
    rows, recommended = table_rows(results), results["verdict"]["recommended"]
    return rows[:BEST] + [row for row in rows[BEST:] if row["head"] == recommended]


def _places(results: dict[str, Any]) -> str:
    if _of_backbones(results):
        return ", ".join(map(_backbone, results["backbones"]))
    names = dict.fromkeys(each["backbone"] for each in results["backbones"])
    return f"{', '.join(names)} in {len(results['backbones'])} combinations of size and cut"


def _of_backbones(results: dict[str, Any]) -> bool:
    """Whether only the backbone differs, not sizes or cuts."""
    places = results["backbones"]
    return len({each["backbone"] for each in places}) == len(places)


def _backbone(described: dict[str, Any]) -> str:
    weights = described["weights"]
    other = "" if weights == "imagenet" else f" ({Path(weights).name} weights)"
    cut = f" to {described['cut']}" if described["cut"] else ""
    return f"{described['backbone']}{cut}{other} at {described['input_size']} px"


def _answers_line(results: dict[str, Any]) -> str:
    """Say what the answer is on each backbone."""
    words = [f"{answer(place['verdict'])} on {place['name']}" for place in results["backbones"]]
    return f"Flatten is {', '.join(words)}"


def grid_table(results: dict[str, Any]) -> Table:
    """Make a table with a row for each size and cut: scores and parameters."""
    key, metric = metrics.primary(results["verdict"]), metric_of(results["verdict"])
    heads = list(dict.fromkeys(each["head"] for each in results["candidates"]))
    best: dict[str, float] = {}
    for each in results["candidates"]:
        best[each["head"]] = max(best.get(each["head"], -math.inf), each[key]["mean"])
    shown = sorted(sorted(heads, key=lambda head: -best[head])[:GRID_HEADS], key=heads.index)
    name = f"{metric.name} %" if metric.is_share else metric.name
    title = f"On each: {name} and parameters of each head"
    if len(shown) < len(heads):
        title += f", the best {GRID_HEADS} of {len(heads)} heads"
    table = standings_table(title, ("\non", "\nmap", *(f"\n{h}" for h in shown), "\nFlatten is"))
    for place in results["backbones"]:
        here = {
            each["head"]: each
            for each in results["candidates"]
            if each["name"].rpartition("/")[0] == place["name"]
        }
        shape = "×".join(map(str, place["map_shape"]))
        cells = [_cell(here.get(head), results["verdict"]) for head in shown]
        table.add_row(place["name"], shape, *cells, answer(place["verdict"]))
    return table


def _cell(candidate: dict[str, Any] | None, verdict: dict[str, Any]) -> str:
    if candidate is None:
        return "–"
    mark = "→ " if candidate["name"] == verdict["recommended"] else ""
    score = metric_of(verdict).plain(candidate[metrics.primary(verdict)]["mean"])
    return f"{mark}{score}\n{candidate['parameters']['head']:,}"
