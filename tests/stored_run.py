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


def tuned() -> dict[str, Any]:
    """The same run as if its rows were those of a fine-tuning of the first."""
    found = results()
    rows = found["candidates"]
    for row in rows:
        row["parameters"]["trained"] = row["parameters"]["head"] + 1000
    gains = []
    for number, row in enumerate(rows[1:4]):
        mean = 0.04 - 0.03 * number
        difference = {"mean": mean, "low": mean - 0.02, "high": mean + 0.02}
        gains.append(
            {
                "name": row["name"],
                "word": ["pays", "undecided", "does_not_pay"][number],
                "difference": {**difference, "p_value": 0.01, "p_rope": 0.1, "p_better": 0.9},
                "holm_p_value": 0.03,
                "train_seconds_ratio": [1.234, 40.4, 1234.5][number],
                "headline": "Fine-tuning pays here.",
                "sentence": f"Row {number} brings something.",
            }
        )
    part = {"name": "last", "start": "block10_add", "parameters": 1000}
    found["finetune"] = {"gains": gains, "parts": [part]}
    found["verdict"] |= {"finetune": gains[0], "difference": None}
    found["where"] = found["learning_curve"] = None
    return found
