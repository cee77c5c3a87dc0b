"""What the page shows of numbers, as plain data without markup."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headfit.report.text.numbers import percent, significant
from headfit.report.view import WRONG, reading_table
from headfit.util.csv_cells import unguard

COLUMNS = 3  # told of an image


@dataclass(frozen=True)
class Residual:
    """How far a model that had not seen an image is off.

    Attributes:
        path: path below the image folder.
        true: its numbers.
        predicted: likewise.
        size: largest error of a column, in standard deviations of the column.
        worst: which column that is.
    """

    path: str
    true: tuple[float, ...]
    predicted: tuple[float, ...]
    size: float
    worst: int


def read_residuals(text: str, columns: Sequence[dict[str, Any]]) -> list[Residual]:
    """Find the images that are farthest off in the content of ``predictions.csv``.

    Args:
        text: the file's content.
        columns: ``reliability.columns`` of ``results.json``, with names and spreads.

    Returns:
        At most 24, the farthest first.

    Raises:
        DataError: it is not a table of these numbers.
    """
    count, spreads, found = len(columns), [column["std"] or 1.0 for column in columns], []
    with reading_table("path, label and two for each number, true and predicted"):
        table = list(csv.reader(io.StringIO(text, newline="")))
        path = table[0].index("path")
        first = len(table[0]) - 2 * count
        if first <= path:
            raise ValueError(f"{len(table[0])} columns")
        for line in table[1:]:
            cells = [float(cell) for cell in line[first:]]
            if len(cells) != 2 * count or not all(map(math.isfinite, cells)):
                raise ValueError(f"{line[first:]} are not {2 * count} numbers")
            true, predicted = tuple(cells[:count]), tuple(cells[count:])
            sizes = [abs(t - p) / s for t, p, s in zip(true, predicted, spreads, strict=True)]
            worst = max(range(count), key=lambda k, sizes=sizes: sizes[k])  # type: ignore[misc]
            found.append(Residual(unguard(line[path]), true, predicted, sizes[worst], worst))
    return sorted(found, key=lambda each: (-each.size, each.path))[:WRONG]


def told(residual: Residual, columns: Sequence[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Give name, true and predicted number of an image, of many columns only that of the worst."""
    shown = range(len(columns)) if len(columns) <= COLUMNS else [residual.worst]
    return [
        (
            columns[k]["name"],
            significant(residual.true[k]),
            significant(residual.predicted[k]),
        )
        for k in shown
    ]


def columns(reliability: dict[str, Any]) -> list[dict[str, Any]]:
    """Give a row of texts for each column: its figures, interval and coverage."""
    intervals = reliability["intervals"]
    rows = []
    for number, column in enumerate(reliability["columns"]):
        width = intervals["half_widths"][number]
        rows.append(
            {
                "name": column["name"],
                "r2": column["r2"],
                "mae": column["mae"],
                "rmse": column["rmse"],
                "spread": f"{significant(column['mean'])} ± {significant(column['std'])}",
                "range": f"{significant(column['low'])} to {significant(column['high'])}",
                "width": width,
                "coverage": intervals["coverage"][number],
                "ends": " to ".join(percent(intervals[end][number]) for end in ("low", "high")),
            }
        )
    return rows
