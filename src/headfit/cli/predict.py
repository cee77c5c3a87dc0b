"""``headfit predict``: classify images with a saved model."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from headfit.cli.command import OUTPUT, Command
from headfit.cli.console import output, tell, tracked
from headfit.cli.options import PATH, REPORTING, option
from headfit.cli.tables import literal, plain_table, print_json
from headfit.images.inputs import expand
from headfit.util import files

if TYPE_CHECKING:
    from headfit.model.prediction import Prediction

SCHEMA = "headfit.predictions/1"
UNLIKE = "unlike the training images"
SEPARATOR = ";"  # between the classes of a set, in CSV
EXAMPLES = """\b
Examples:
  headfit predict headfit-run/model.keras new.jpg
  headfit predict headfit-run/model.keras photos/ "more/**/*.png" --top 3
  headfit predict headfit-run/model.keras photos/ --csv predictions.csv
"""


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("model", type=PATH)
@click.argument("paths", nargs=-1, required=True)
@option(
    OUTPUT,
    "--top",
    type=click.IntRange(min=1),
    default=3,
    metavar="N",
    help="Number of classes for each image, the most probable first.",
)
@option(OUTPUT, "--csv", "csv_path", type=PATH, metavar="PATH", help="Write a CSV file as well.")
@REPORTING
def command(
    model: Path, paths: tuple[str, ...], top: int, as_json: bool, csv_path: Path | None, debug: bool
) -> int:
    """Classify images with MODEL, a model.keras written by headfit.

    PATHS are image files, folders (searched with their sub-folders) or patterns. Files that cannot
    be read are reported and skipped; the exit code is 1 only if no file could be read.
    """
    from headfit.model.classifier import Classifier  # noqa: PLC0415  (heavy)

    classifier = Classifier(model, tell)
    names = expand(paths)
    steps = tracked(classifier.iter_predictions(names), "Classifying", len(names))
    predictions = list(steps)
    records = [_record(prediction, classifier.classes, top) for prediction in predictions]
    if csv_path is not None:
        files.write_text(csv_path, _csv(predictions, classifier.classes))
    if as_json:
        print_json({"schema": SCHEMA, "predictions": records})
    else:
        _show(records)
        if csv_path is not None:
            tell(f"Written: {csv_path}")
    return 0 if any(prediction.probabilities is not None for prediction in predictions) else 1


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


def _csv(predictions: list[Prediction], classes: tuple[str, ...]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    rest = ["calibrated", "set", "outlier", "error"]
    writer.writerow(["path", "predicted", *(f"p_{name}" for name in classes), *rest])
    for prediction in predictions:
        p = prediction.probabilities
        if p is None:
            writer.writerow([prediction.path, *[""] * (len(classes) + 4), prediction.error])
        else:
            row = [f"{value:.6f}" for value in p]
            best = classes[int(p.argmax())]
            writer.writerow([prediction.path, best, *row, *_reliability_cells(prediction), ""])
    return stream.getvalue()


def _reliability_cells(prediction: Prediction) -> list[str]:
    """Calibrated probability, set and outlier; empty where the model does not give them."""
    calibrated, outlier = prediction.calibrated, prediction.outlier
    return [
        "" if calibrated is None else f"{calibrated:.6f}",
        SEPARATOR.join(prediction.prediction_set or ()),
        "" if outlier is None else str(outlier).lower(),
    ]


def _show(records: list[dict[str, Any]]) -> None:
    remarks = any(record["outlier"] for record in records)
    table = plain_table(
        ("image", "class", "probability", "then", *["remark"] * remarks), ["probability"]
    )
    for record in records:
        remark = [UNLIKE if record["outlier"] else ""] * remarks
        table.add_row(*map(literal, [*_cells(record), *remark]))
    output().print(table)


def _cells(record: dict[str, Any]) -> list[str]:
    if record["error"]:
        return [record["path"], "cannot be read", "", record["error"]]
    rest = ", ".join(f"{t['class']} {100 * t['probability']:.1f} %" for t in record["top"][1:])
    return [record["path"], record["class"], f"{100 * record['probability']:.1f} %", rest]
