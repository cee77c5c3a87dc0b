"""A study as text: the table, the verdict, the score on the test split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from headfit.cli.console import standings_table
from headfit.cli.show_grid import grid_table
from headfit.study.table import table_rows

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
    console.print(study_table(results))
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
    console.print(_reliability_line(results["reliability"]), markup=False)
    if results["test"]:
        console.print(_test_line(results["test"]), markup=False)
    if results["precision"]:
        console.print(results["precision"]["sentence"], markup=False)
    files = "report.html, model.keras, results.json, predictions.csv, suspects.csv"
    console.print(f"Written: {out}/{files}", markup=False)


def study_table(results: dict[str, Any]) -> Table:
    """Make the table of heads, best first; the recommended one is marked."""
    settings, images = results["settings"], results["images"]
    title = (
        f"{_places(results)}, "
        f"{images['used']:,} images, {len(images['classes'])} classes, "
        f"{settings['repeats']} × {settings['folds']} folds"
    )
    table = standings_table(title, COLUMNS)
    rows = table_rows(results)
    if not _of_backbones(results) and len(rows) > BEST:
        table.title = f"{title}; the best {BEST} of {len(rows)}"
        chosen_too = [r for r in rows[BEST:] if r["head"] == results["verdict"]["recommended"]]
        rows = rows[:BEST] + chosen_too
    for row in rows:
        chosen = row["head"] == results["verdict"]["recommended"]
        table.add_row(*_cells(row, chosen), style="bold" if chosen else "")
    return table


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


def _reliability_line(found: dict[str, Any]) -> str:
    """Say how far probabilities may be believed, and how many labels look wrong."""
    sure, sets = found["temperature"], found["conformal"]
    line = (
        f"Calibration error {_percent(sure['ece_before'])} % ({_percent(sure['ece_after'])} % at "
        f"temperature {sure['value']:.2f}); sets that hold the class of {_percent(sets['level'])} "
        f"% of images have {sets['mean_size']:.1f} classes on average"
    )
    if not found["suspects_found"]:
        return f"{line}; no label looks wrong."
    many = found["suspects_found"]
    wrong = "1 label looks wrong" if many == 1 else f"{many} labels look wrong"
    return f"{line}; {wrong}, see suspects.csv."


def _cells(row: dict[str, Any], chosen: bool) -> list[str]:
    return [
        f"{'→' if chosen else ' '} {row['head']}",
        _percent(row["balanced_accuracy"]),
        f"{_percent(row['low'])}–{_percent(row['high'])}",
        f"{row['log_loss']:.3f}",
        f"{row['parameters']:,}",
        f"{100 * row['share']:.1f}",
        f"{100 * row['overfit_gap']:.1f}",
        f"{row['train_seconds']:.1f}",
    ]


def _percent(value: float | None) -> str:
    return "?" if value is None else f"{100 * value:.1f}"


def _test_line(test: dict[str, Any]) -> str:
    return (
        f"On the {test['images']:,} test images, scored once: {test['head']} has "
        f"{_percent(test['accuracy'])} % accuracy ({_percent(test['balanced_accuracy'])} % "
        f"balanced); always guessing the largest class has {_percent(test['majority_accuracy'])} %."
    )
