"""The table of a study: one row for each head."""

from __future__ import annotations

from typing import Any


def table_rows(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Flatten ``results`` to a row for each candidate, best balanced accuracy first."""
    candidates = sorted(results["candidates"], key=lambda c: -c["balanced_accuracy"]["mean"])
    return [_row(candidate) for candidate in candidates]


def _row(candidate: dict[str, Any]) -> dict[str, Any]:
    score, parameters = candidate["balanced_accuracy"], candidate["parameters"]
    return {
        "head": candidate["name"],
        "balanced_accuracy": score["mean"],
        "low": score["low"],
        "high": score["high"],
        "log_loss": candidate["log_loss"]["mean"],
        "parameters": parameters["head"],
        "share": parameters["head"] / parameters["total"],
        "overfit_gap": candidate["overfit_gap"]["mean"],
        "train_seconds": candidate["train_seconds"],
    }
