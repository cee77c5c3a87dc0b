"""Made-up runs of several labels and of numbers: the stored run of classes, told of other targets.

Scores of its heads stay where they are; reliability is assessed on predictions that are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import stored_run
from headfit.images.targets import Targets
from headfit.study.position.perturbation import PositionUse, VarianceParts
from headfit.study.position.spectrum import GRID, Spectrum
from headfit.study.reliability.assessment import assess
from headfit.util.csv_cells import csv_text

HOSTILE = "<b>sea&$x$"
LABELS = (HOSTILE, "sky", "sun", "tree")
NUMBERS = ("x", "y")
FOLDS, REPEATS = 3, 2


@dataclass(frozen=True)
class Made:
    """A run: the content of ``results.json``, and of ``predictions.csv``."""

    results: dict[str, Any]
    predictions: str


def labels() -> Made:
    rng, paths = np.random.default_rng(0), _paths()
    chances = rng.random((len(paths), len(LABELS))) ** [1, 2, 2, 6]
    targets = Targets(LABELS, (rng.random(chances.shape) < chances).astype(int), "labels")
    noise = np.exp(rng.normal(scale=0.7, size=(REPEATS, *chances.shape)))
    odds = noise * chances / (1 - chances)
    predictions = odds / (1 + odds)
    right = ((predictions >= 0.5) == targets.values).all(axis=2).mean(axis=0)
    results = _told("macro_average_precision", "log_loss", targets, predictions, _spectrum(0.5))
    for row in results["candidates"]:
        row["micro_f1"] = row["macro_f1"]
    head = ["path", "label", "fold_1", "right", *(f"p_{name}" for name in LABELS)]
    cells = [
        [path, targets.label(n), 0, right[n], *(f"{p:.6f}" for p in predictions.mean(axis=0)[n])]
        for n, path in enumerate(paths)
    ]
    return Made(results, csv_text([head, *cells]))


def numbers(names: tuple[str, ...] = NUMBERS) -> Made:
    rng, paths = np.random.default_rng(0), _paths()
    values = rng.random((len(paths), len(names))) * 96
    targets = Targets.of_numbers(names, values)
    predictions = values + rng.normal(scale=6, size=(REPEATS, *values.shape))
    predictions[:, 0] += 60  # a suspect
    results = _told("r2", "rmse", targets, predictions, _spectrum(-0.1))
    for row in results["candidates"]:
        row["mae"] = {**row["rmse"], "mean": 4.321}
    head = ["path", "label", "fold_1", *(f"true_{n}" for n in names)]
    head += [f"predicted_{n}" for n in names]
    cells = [
        [path, targets.label(n), 0, *values[n], *predictions.mean(axis=0)[n]]
        for n, path in enumerate(paths)
    ]
    return Made(results, csv_text([head, *cells]))


def two_classes() -> dict[str, Any]:
    """The stored run as if it had two classes, with their curves."""
    rng, found = np.random.default_rng(0), stored_run.results()
    values = np.arange(len(_paths())) % 3 // 2
    p = np.clip(values * 0.3 + rng.random((REPEATS, len(values))) * 0.7, 0, 1)
    targets = Targets(("ham", "spam"), values)
    found["targets"] = {"kind": "class", "names": list(targets.names)}
    found["reliability"] = _assessed(targets, np.stack([1 - p, p], axis=-1))
    found["images"]["classes"] = targets.counts()
    return found


def _paths() -> list[str]:
    return [each.path for each in stored_run.predictions()]


def _told(
    metric: str, loss: str, targets: Targets, predictions: np.ndarray, spectrum: np.ndarray
) -> dict[str, Any]:
    found = stored_run.results()
    found["targets"] = {"kind": targets.kind, "names": list(targets.names)}
    for row in found["candidates"]:
        row[metric], row[loss] = row.pop("balanced_accuracy"), row.pop("log_loss")
        for name in ("accuracy", "auroc", "ece"):
            row.pop(name, None)
    bounds = (None, 1.0) if metric == "r2" else (0.0, 1.0)
    curve = Spectrum(GRID, spectrum, 1 - spectrum, 75, metric, loss, bounds).to_dict()
    use = PositionUse(spectrum[-1], spectrum[-1] - 1.5, spectrum[0], VarianceParts(0.7, 0.1))
    found["where"] |= {"spectrum": curve, **use.to_dict(spectrum[0]), "looks": []}
    if metric == "r2":
        for points in found["where"]["shift"]["curves"].values():
            for point in points:
                point["flipped"] = None
    found["verdict"] |= {"metric": metric, "flatten": "necessary", "recommended": "flatten"}
    found["verdict"]["difference"] = {
        **{"mean": 0.41, "low": 0.38, "high": 0.44, "p_value": 1e-5, "p_rope": 0.0},
        "p_better": 0.9999,
    }
    found["verdict"]["secondary"] = {
        loss: {"mean": -3.21, "low": -4.0, "high": -2.5, "p_value": 1e-4}
    }
    found["verdict"]["expected_score"] = {"mean": 0.96, "low": 0.93, "high": 0.97}
    found["verdict"]["minimal_detectable"] = 0.02
    found["verdict"]["limited_by"] = None
    found["verdict"]["sentence"] = "Flatten is necessary here. Use flatten."
    found["learning_curve"]["metric"] = metric
    found["images"]["classes"] = targets.counts()
    found["reliability"] = _assessed(targets, predictions)
    found["test"] = {
        "head": "flatten", "images": 30, metric: 0.95, loss: 0.2, "macro_f1": 0.8, "mae": 4.5,
        "micro_f1": 0.85,
        "intervals": {metric: {"low": 0.9, "high": 0.97}},
    }  # fmt: skip
    return found


def _assessed(targets: Targets, predictions: np.ndarray) -> dict[str, Any]:
    n = len(targets)
    features = np.random.default_rng(1).random((n, 4), np.float32)
    splits = np.stack([np.arange(n) % FOLDS] * REPEATS)
    return assess(
        predictions=predictions, targets=targets, splits=splits, paths=_paths(), features=features,
        seed=0,
    ).to_dict()  # fmt: skip


def _spectrum(gap: float) -> np.ndarray:
    """Scores of each τ that rise from gap's to 0.9, with a little noise: (taus, folds)."""
    noise = 0.005 * np.random.default_rng(2).normal(size=(len(GRID), FOLDS))
    rising: np.ndarray = np.linspace(gap, 0.9, len(GRID))[:, None] + noise
    return rising
