"""A finished ranking of backbones: every number, the order, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headfit.backbones.weights import IMAGENET

SCHEMA = "headfit.ranking/1"
QUICKER = 0.9  # less than that is noise of the clock


@dataclass(frozen=True)
class Ranking:
    """What ``rank`` found.

    Attributes:
        results: the content of ``headfit rank --json``, plain data.
    """

    results: dict[str, Any]

    @property
    def best(self) -> str:
        """Name of the backbone with the best balanced accuracy."""
        return str(self.results["backbones"][0]["backbone"])

    @property
    def within_noise(self) -> list[str]:
        """Names of those that may be as good as the best, which is the first of them."""
        return [row["backbone"] for row in self.results["backbones"] if row["within_noise"]]

    def table(self) -> Any:
        """Give a row for each backbone, best first.

        Returns:
            A ``pandas.DataFrame`` if pandas is installed, else a list of dictionaries.
        """
        rows = [_flat(row) for row in self.results["backbones"]]
        try:
            import pandas as pd  # noqa: PLC0415  (optional)
        except ImportError:
            return rows
        return pd.DataFrame(rows).set_index("backbone")

    def __repr__(self) -> str:
        return f"<Ranking of {len(self.results['backbones'])} backbones: {self.best} is ahead>"

    def __str__(self) -> str:
        return str(self.results["sentence"])


def label(name: str, weights: str) -> str:
    """Name a backbone, and its weights if they are not the usual ones."""
    return name if weights == IMAGENET else f"{name} ({Path(weights).name} weights)"


def sentence(rows: list[dict[str, Any]]) -> str:
    """Say in words who is ahead, and who may be as good."""
    best, *others = rows
    score, name = best["balanced_accuracy"], label(best["backbone"], best["weights"])
    said = (
        f"{name} has {100 * score['mean']:.1f} % balanced accuracy "
        f"({100 * score['low']:.1f} to {100 * score['high']:.1f})"
    )
    if not others:
        return f"{said}. It is the only one ranked: name others with --backbone."
    equal = [row for row in others if row["within_noise"]]
    if not equal:
        ahead = -100 * others[0]["difference"]["mean"]
        return f"{said}, {ahead:.1f} points ahead of the next, which is more than the noise."
    names = ", ".join(label(row["backbone"], row["weights"]) for row in equal)
    cheaper = [row for row in equal if row["latency_ms"] < QUICKER * best["latency_ms"]]
    hint = ""
    if cheaper:
        quick = min(cheaper, key=lambda row: float(row["latency_ms"]))
        hint = (
            f" {label(quick['backbone'], quick['weights'])} is quicker: {quick['latency_ms']:.1f} "
            f"ms an image instead of {best['latency_ms']:.1f}."
        )
    return f"{said}; these images cannot tell whether it is better than {names}.{hint}"


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    score = row["balanced_accuracy"]
    return {
        "backbone": row["backbone"],
        "weights": row["weights"],
        "balanced_accuracy": score["mean"],
        "low": score["low"],
        "high": score["high"],
        "difference": row["difference"]["mean"],
        "within_noise": row["within_noise"],
        "parameters": row["parameters"],
        "latency_ms": row["latency_ms"],
        "seconds": row["seconds"],
    }
