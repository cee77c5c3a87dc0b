"""``headfit predict``: classify images with a saved model."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from headfit.cli.command import Command
from headfit.cli.console import output
from headfit.errors import UsageError
from headfit.images.paths import expand
from headfit.util import files

if TYPE_CHECKING:
    from headfit.model.prediction import Prediction

SCHEMA = "headfit.predictions/1"
UNLIKE = "unlike the training images"
SEPARATOR = ";"  # of the classes of a set, in CSV
EXAMPLES = """\b
Examples:
  headfit predict headfit-run/model.keras new.jpg
  headfit predict headfit-run/model.keras photos/ "more/**/*.png" --top 3
  headfit predict headfit-run/model.keras photos/ --csv predictions.csv
"""


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("paths", nargs=-1, required=True)
@click.option("--top", default=3, show_default=True, help="How many classes to give for an image.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, no table.")
@click.option("--csv", "csv_path", type=click.Path(path_type=Path), help="Write a CSV file.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def command(
    model: Path, paths: tuple[str, ...], top: int, as_json: bool, csv_path: Path | None, debug: bool
) -> int:
    """Classify images with MODEL, a model.keras that headfit wrote.

    PATHS are image files, folders (all images below them) or patterns. A file that cannot be read
    is reported and does not stop the others; the exit code is 1 only if none could be read.
    """
    from headfit.model.classifier import Classifier  # noqa: PLC0415  (heavy)

    if top < 1:
        raise UsageError(f"--top {top} is too small: it must be at least 1.")
    stderr = Console(stderr=True, highlight=False, emoji=False)
    classifier = Classifier(model, lambda line: stderr.print(line, markup=False))
    names = expand(paths)
    found = list(
        track(
            classifier.iter_predictions(names),
            "Classifying",
            total=len(names),
            console=stderr,
            transient=True,
            disable=not stderr.is_terminal,
        )
    )
    records = [_record(prediction, classifier.classes, top) for prediction in found]
    if csv_path is not None:
        files.write_text(csv_path, _csv(found, classifier.classes))
    if as_json:
        click.echo(json.dumps({"schema": SCHEMA, "predictions": records}, indent=2))
    else:
        _show(records, csv_path)
    return 0 if any(prediction.probabilities is not None for prediction in found) else 1


def _record(prediction: Prediction, classes: tuple[str, ...], top: int) -> dict[str, Any]:
    p = prediction.probabilities
    order = [] if p is None else np.argsort(-p, kind="stable")[:top].tolist()
    best = [] if p is None else [{"class": classes[i], "probability": float(p[i])} for i in order]
    return {
        "path": prediction.path,
        "class": best[0]["class"] if best else None,
        "probability": best[0]["probability"] if best else None,
        "top": best,
        "calibrated": prediction.calibrated,
        "set": None if prediction.prediction_set is None else list(prediction.prediction_set),
        "outlier": prediction.outlier,
        "error": prediction.error or None,
    }


def _csv(found: list[Prediction], classes: tuple[str, ...]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    rest = ["calibrated", "set", "outlier", "error"]
    writer.writerow(["path", "predicted", *(f"p_{name}" for name in classes), *rest])
    for prediction in found:
        p = prediction.probabilities
        if p is None:
            writer.writerow([prediction.path, *[""] * (len(classes) + 4), prediction.error])
        else:
            row = [f"{value:.6f}" for value in p]
            best = classes[int(p.argmax())]
            writer.writerow([prediction.path, best, *row, *_reliability_cells(prediction), ""])
    return stream.getvalue()


def _reliability_cells(prediction: Prediction) -> list[str]:
    """Calibrated probability, set and outlier; empty where the model carries no such thing."""
    calibrated, outlier = prediction.calibrated, prediction.outlier
    return [
        "" if calibrated is None else f"{calibrated:.6f}",
        SEPARATOR.join(prediction.prediction_set or ()),
        "" if outlier is None else str(outlier).lower(),
    ]


def _show(records: list[dict[str, Any]], csv_path: Path | None) -> None:
    console = output()
    table = Table(box=box.SIMPLE_HEAD)
    remarks = any(record["outlier"] for record in records)
    for name in ("image", "class", "probability", "then", *["remark"] * remarks):
        table.add_column(
            name, justify="right" if name == "probability" else "left", overflow="fold"
        )
    for record in records:
        remark = [UNLIKE if record["outlier"] else ""] * remarks
        table.add_row(*map(_plain, [*_cells(record), *remark]))
    console.print(table)
    if csv_path is not None:
        print(f"Written: {csv_path}", file=sys.stderr)


def _cells(record: dict[str, Any]) -> list[str]:
    if record["error"]:
        return [record["path"], "cannot be read", "", record["error"]]
    rest = ", ".join(f"{t['class']} {100 * t['probability']:.1f} %" for t in record["top"][1:])
    return [record["path"], record["class"], f"{100 * record['probability']:.1f} %", rest]


def _plain(text: str) -> Text:
    """Text that rich shows as it is: a class called [red] is only a name."""

    return Text(text.encode("utf-8", "backslashreplace").decode())
