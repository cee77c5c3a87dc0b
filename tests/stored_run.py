"""A run as compare wrote it: 75 photographs, and classes and files with hostile names.

Its photographs are not kept: others of the same names are made.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from headfit.report.view import HeldOutPrediction, read_predictions
from photos import write_photo

STORED = Path(__file__).parent / "data" / "report"
HOSTILE = "<script>"


def results() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((STORED / "results.json").read_text("utf-8"))
    return found


def predictions_csv() -> str:
    return (STORED / "predictions.csv").read_text("utf-8")


def predictions() -> list[HeldOutPrediction]:
    return read_predictions(predictions_csv(), list(results()["images"]["classes"]))


def write_photos(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for number, each in enumerate(predictions()):
        write_photo(folder / each.path, number % 3, rng)
    return folder
