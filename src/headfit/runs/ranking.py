"""A finished ranking of backbones: every number, and the order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headfit.report.text.numbers import percent
from headfit.report.text.ranking import label
from headfit.util import html as display

# what a person reads beside the name of a backbone; see :func:`shown`
COLUMNS = (
    "balanced accuracy, %",
    "95 % interval",
    "points behind",
    "parameters",
    "ms an image",
)


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

    def _repr_html_(self) -> str:
        rows = self.results["backbones"]
        cells = []
        for number, row in enumerate(rows):
            mark = "≈ " if number and row["within_noise"] else ""
            cells.append((mark + label(row["backbone"], row["weights"]), *shown(row, number == 0)))
        images = self.results["images"]
        caption = (
            f"{images['used']:,} images, {len(images['classes'])} classes, each left out in turn"
        )
        found = display.table(("backbone", *COLUMNS), cells, caption, 0)
        failed = [
            display.paragraph(f"Not ranked: {label(f['backbone'], f['weights'])}: {f['reason']}")
            for f in self.results["failed"]
        ]
        return display.paragraph(self) + found + "".join(failed)


def shown(row: dict[str, Any], best: bool) -> list[str]:
    """Write a row of ``backbones`` as a person reads it, a text for each of ``COLUMNS``.

    Args:
        row: of the results.
        best: whether it is the first, which is behind no other.
    """
    score, difference = row["balanced_accuracy"], row["difference"]
    margin = difference["high"] - difference["mean"]
    return [
        percent(score["mean"]),
        f"{percent(score['low'])}–{percent(score['high'])}",
        "" if best else f"{percent(-difference['mean'])} ± {percent(margin)}",
        f"{row['parameters']:,}",
        f"{row['latency_ms']:.1f}",
    ]


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
