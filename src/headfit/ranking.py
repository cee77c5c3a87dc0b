"""A finished ranking of backbones: every number, and the order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


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
