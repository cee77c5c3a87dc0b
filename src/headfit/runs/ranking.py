"""A finished ranking of backbones: the order, and every number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headfit.report.text.numbers import percent
from headfit.report.text.ranking import label
from headfit.report.text.table import data_frame
from headfit.util import html

if TYPE_CHECKING:
    import pandas as pd

# what a person reads beside the name of a backbone; see :func:`shown`
COLUMNS = ("balanced accuracy, %", "95 % interval", "points behind", "parameters", "ms an image")


@dataclass(frozen=True)
class Ranking:
    """The result of :func:`headfit.rank`: backbones, best first.

    It prints as a sentence, and shows itself as a table in a notebook.

    Attributes:
        results: every number, plain data that JSON can hold, as the command prints it.
    """

    results: dict[str, Any]

    @property
    def best(self) -> str:
        """Name of the backbone with the highest balanced accuracy."""
        return str(self.results["backbones"][0]["backbone"])

    @property
    def within_noise(self) -> list[str]:
        """Names of the backbones that may be as good as the best, which comes first."""
        return [row["backbone"] for row in self.results["backbones"] if row["within_noise"]]

    def table(self) -> list[dict[str, Any]]:
        """Give a record for each backbone, best first.

        Returns:
            ``backbone``, ``weights``, ``balanced_accuracy`` with the 95 % interval ``low`` to
            ``high``, ``difference`` from the best, ``within_noise``, ``parameters``,
            ``latency_ms`` of one image, ``seconds``. Scores are fractions.
        """
        return [_record(row) for row in self.results["backbones"]]

    def to_pandas(self) -> pd.DataFrame:
        """Give :meth:`table` as a ``pandas.DataFrame`` with the backbones as its index.

        Raises:
            UsageError: if pandas is not installed.
        """
        return data_frame(self.table(), "backbone")

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
        table = html.table(("backbone", *COLUMNS), cells, caption, 0)
        failed = [
            html.paragraph(f"Not ranked: {label(f['backbone'], f['weights'])}: {f['reason']}")
            for f in self.results["failed"]
        ]
        return html.paragraph(self) + table + "".join(failed)


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


def _record(row: dict[str, Any]) -> dict[str, Any]:
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
