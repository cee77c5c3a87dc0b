"""The parts of results that the page shows, as plain data without markup."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from headfit.errors import DataError
from headfit.images.targets import LABELS, NUMBER
from headfit.report.text import metrics
from headfit.report.text.numbers import mean_count
from headfit.report.text.table import ranked, trained_parameters
from headfit.report.text.targets import kind_of
from headfit.util.csv_cells import unguard
from headfit.util.records import DAMAGE


@dataclass(frozen=True)
class HeldOutPrediction:
    """The prediction of a training image by models that did not see it.

    Attributes:
        path: path below the image folder.
        label: class of the image.
        predicted: most probable class.
        p_label: probability of ``label``.
        p_predicted: probability of ``predicted``.
    """

    path: str
    label: str
    predicted: str
    p_label: float
    p_predicted: float

    @property
    def right(self) -> bool:
        """Whether the image is predicted as labelled."""
        return self.label == self.predicted


def read_predictions(text: str, classes: Sequence[str]) -> list[HeldOutPrediction]:
    """Read the content of ``predictions.csv``.

    Args:
        text: the file's content.
        classes: names of the classes, in the order of the columns.

    Raises:
        DataError: it is not a table of these classes.
    """
    with reading_table():
        rows = list(csv.reader(io.StringIO(text, newline="")))
        names = rows[0]
        path, label, predicted = (names.index(name) for name in ("path", "label", "predicted"))
        place = {name: predicted + 1 + number for number, name in enumerate(classes)}
        # a file escapes what UTF-8 cannot hold
        spelt = {name.encode("utf-8", "backslashreplace").decode(): name for name in classes}
        spelt |= {name: name for name in classes}
        read = []
        for row in rows[1:]:
            true, likely = (spelt[unguard(row[column])] for column in (label, predicted))
            chances = [float(row[place[name]]) for name in (true, likely)]
            if not all(0 <= chance <= 1 for chance in chances):
                raise ValueError(f"{chances} are no probabilities")
            read.append(HeldOutPrediction(unguard(row[path]), true, likely, *chances))
        return read


def paths_in(text: str, count: int) -> list[str]:
    """Give the first paths in the content of ``predictions.csv``.

    Raises:
        DataError: it is no such table.
    """
    with reading_table():
        rows = csv.DictReader(io.StringIO(text, newline=""))
        return [unguard(str(row["path"])) for row in islice(rows, count)]


@contextlib.contextmanager
def reading_table(columns: str = "path, label, predicted and one for each class") -> Iterator[None]:
    """Turn what a damaged ``predictions.csv`` makes of its reader into an error.

    Args:
        columns: what it must have.

    Raises:
        DataError: the content is not such a table.
    """
    try:
        yield
    except DAMAGE as error:
        raise DataError(
            f"predictions.csv does not belong to this run ({type(error).__name__}: {error}). "
            f"Expected columns {columns}. Run compare again."
        ) from error


MATRIX = 30
"""Number of classes up to which the page has a confusion matrix."""
CELLS = 100
PER_CELL = 50
WRONG = 24
LISTED = 200


def candidates(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Give a row for each candidate, the best first."""
    key = metrics.primary(results["verdict"])
    loss, more = metrics.loss_key(key), MORE.get(kind_of(results))
    return [
        {
            "name": row["name"],
            "chosen": row["name"] == results["verdict"]["recommended"],
            "score": row[key],
            "loss": row[loss]["mean"],
            "more": row[more]["mean"] if more else None,
            "ece": row.get("ece"),
            "head": (trained := trained_parameters(row)),
            "total": row["parameters"]["total"],
            "share": trained / row["parameters"]["total"],
            "overfit": row["overfit_gap"]["mean"],
            "seconds": row["train_seconds"],
            "latency": row["latency_ms"],
            "front": row["pareto"]["parameters"],
            "warnings": [text.removeprefix(f"{row['head']}: ") for text in row["warnings"]],
        }
        for row in ranked(results)
    ]


MORE = {LABELS: "macro_f1", NUMBER: "mae"}
"""A further metric in the table of heads; classes have the calibration error instead."""


def tuned(results: dict[str, Any]) -> dict[str, Any] | None:
    """Give the rows of a fine-tuning beside the frozen head; None for other runs."""
    measured = results.get("finetune")
    if not measured:
        return None
    rows = {row["name"]: row for row in results["candidates"]}
    return {
        "frozen": results["candidates"][0]["name"],
        "backbones": len(results["backbones"]),
        "parts": measured["parts"],
        "gains": [
            {**gain, "trained": trained_parameters(rows[gain["name"]])}
            for gain in measured["gains"]
        ],
    }


def wrong(predictions: Sequence[HeldOutPrediction]) -> list[HeldOutPrediction]:
    """Give the images that are most confidently predicted wrong."""
    errors = [each for each in predictions if not each.right]
    return sorted(errors, key=lambda each: (-each.p_predicted, each.path))[:WRONG]


def matrix(results: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Give the rows of the confusion matrix; None with too many classes."""
    reliability = results["reliability"]
    names = [row["name"] for row in reliability["classes"]]
    if len(names) > MATRIX:
        return None
    return [
        {"name": name, "cells": [(mean_count(c) if c else "", c / max(sum(row), 1)) for c in row]}
        for name, row in zip(names, reliability["confusion"], strict=True)
    ]


def cells(
    results: dict[str, Any], predictions: Sequence[HeldOutPrediction]
) -> list[dict[str, Any]]:
    """Give the images of each cell of the confusion matrix, the largest confusions first.

    At most 100 cells, and the 50 most confident images of each.
    """
    names = [row["name"] for row in results["reliability"]["classes"]]
    place = {name: number for number, name in enumerate(names)}
    members: dict[tuple[str, str], list[HeldOutPrediction]] = {}
    for each in predictions:
        members.setdefault((each.label, each.predicted), []).append(each)
    order = sorted(members, key=lambda key: (key[0] == key[1], -len(members[key]), key))
    # with few classes each number in the matrix links to its images
    most = len(order) if len(names) <= MATRIX else CELLS
    return [
        {
            "id": f"cell-{place[label]}-{place[predicted]}",
            "label": label,
            "predicted": predicted,
            "count": len(members[label, predicted]),
            "images": sorted(members[label, predicted], key=lambda e: (-e.p_predicted, e.path))[
                :PER_CELL
            ],
        }
        for label, predicted in order[:most]
    ]


def pictured(
    results: dict[str, Any], wrong: Sequence[str], cells: Sequence[dict[str, Any]] = ()
) -> list[str]:
    """List the images that get thumbnails, the most important first.

    Args:
        results: as in ``results.json``.
        wrong: paths of images that are predicted wrong.
        cells: of the confusion matrix.
    """
    paths = list(wrong)
    paths += [each["path"] for each in results["reliability"]["suspects"]]
    for depth in range(PER_CELL):
        for cell in cells:
            if cell["label"] != cell["predicted"] and depth < len(cell["images"]):
                paths.append(cell["images"][depth].path)
    return paths


def places(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the feature map of the recommended head, or the first that has several positions."""
    chosen = results["verdict"]["recommended"]
    home = next(row for row in results["candidates"] if row["name"] == chosen)
    rest = (row for row in results["candidates"] if row is not home)
    maps: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in (home, *rest):
        # a head on several layers has a map of one position, of which there is nothing to draw
        if row["map_shape"][0] * row["map_shape"][1] == 1 and maps:
            continue
        cut = f" to {row['cut']}" if row["cut"] else ""
        subject = f"{row['backbone']}{cut} at {row['input_size']} px"
        key = (row["backbone"], row["cut"], row["input_size"])
        maps.setdefault(key, {"subject": subject, "map_shape": tuple(row["map_shape"])})
    return list(maps.values())[:1]
