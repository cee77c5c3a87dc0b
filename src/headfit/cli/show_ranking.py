"""Run a ranking for a person: progress, the table, what to do next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from headfit.backbones.weights import IMAGENET
from headfit.cli.console import ConsoleWatcher, output, standings_table
from headfit.screening import rank
from headfit.study.ranking_results import label

# two lines each, so that the table fits a terminal of 80 columns
COLUMNS = (
    "\nbackbone",
    "bal.\nacc. %",
    "95 %\ninterval",
    "points\nbehind",
    "\nparameters",
    "ms an\nimage",
)


def run_ranking(folder: Path, as_json: bool, **arguments: Any) -> None:
    """Rank and show."""
    with ConsoleWatcher() as watcher:
        ranking = rank(folder, watcher=watcher, **arguments)
    if as_json:
        click.echo(json.dumps(ranking.results, indent=2))
    else:
        show_ranking(output(), ranking.results)


def show_ranking(console: Console, results: dict[str, Any]) -> None:
    """Print what a person wants to know of a ranking."""
    console.print(ranking_table(results))
    rows = results["backbones"]
    if len(rows) > 1:
        equal = any(row["within_noise"] for row in rows[1:])
        console.print("→ best" + ("   ≈ within the noise of the best" if equal else ""))
    console.print()
    for failed in results["failed"]:
        name = label(failed["backbone"], failed["weights"])
        console.print(f"Not ranked: {name}: {failed['reason']}", markup=False)
    console.print(results["sentence"], markup=False)
    # in one piece, to be copied
    console.print(f"Next: {results['next']}", markup=False, soft_wrap=True)
    console.print("Its feature maps are kept, so that needs no backbone pass.", markup=False)


def ranking_table(results: dict[str, Any]) -> Table:
    """Make the table of backbones, best first."""
    images = results["images"]
    title = f"{images['used']:,} images, {len(images['classes'])} classes, each left out in turn"
    table = standings_table(title, COLUMNS)
    for number, row in enumerate(results["backbones"]):
        table.add_row(*_cells(row, best=number == 0), style="" if number else "bold")
    return table


def _cells(row: dict[str, Any], *, best: bool) -> list[str]:
    score, difference = row["balanced_accuracy"], row["difference"]
    mark = "→" if best else "≈" if row["within_noise"] else " "
    margin = difference["high"] - difference["mean"]
    behind = "" if best else f"{_percent(-difference['mean'])} ± {_percent(margin)}"
    weights = "" if row["weights"] == IMAGENET else f"\n  {Path(row['weights']).name} weights"
    return [
        f"{mark} {row['backbone']}{weights}",
        _percent(score["mean"]),
        f"{_percent(score['low'])}–{_percent(score['high'])}",
        behind,
        f"{row['parameters']:,}",
        f"{row['latency_ms']:.1f}",
    ]


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"
