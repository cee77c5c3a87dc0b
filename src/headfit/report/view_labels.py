"""What the page shows of several labels, as plain data without markup."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headfit.images.targets import SEPARATOR
from headfit.report.view import MATRIX, WRONG, reading_table
from headfit.util.csv_cells import unguard


@dataclass(frozen=True)
class LabelMistake:
    """A label that a model that had not seen the image got wrong.

    Attributes:
        path: path below the image folder.
        name: of the label.
        has: whether the image has it.
        probability: that it has.
    """

    path: str
    name: str
    has: bool
    probability: float

    @property
    def surprise(self) -> float:
        """Probability of what is not so."""
        return 1 - self.probability if self.has else self.probability


def read_mistakes(text: str, rows: Sequence[dict[str, Any]]) -> list[LabelMistake]:
    """Find the labels that are predicted wrong in the content of ``predictions.csv``.

    Args:
        text: the file's content.
        rows: ``reliability.labels`` of ``results.json``, with names and thresholds.

    Returns:
        Each pair of an image and a label, the most confidently wrong first, at most 24.

    Raises:
        DataError: it is not a table of these labels.
    """
    names = [row["name"] for row in rows]
    spelt = {name.encode("utf-8", "backslashreplace").decode(): name for name in names}
    spelt |= {name: name for name in names}
    found = []
    with reading_table("path, label and one for each label"):
        table = list(csv.reader(io.StringIO(text, newline="")))
        path, label = (table[0].index(name) for name in ("path", "label"))
        first = len(table[0]) - len(names)
        if first <= max(path, label):
            raise ValueError(f"{len(table[0])} columns")
        for line in table[1:]:
            has = {spelt[each] for each in unguard(line[label]).split(SEPARATOR) if each}
            for row, cell in zip(rows, line[first:], strict=True):
                p, name = float(cell), row["name"]
                if not 0 <= p <= 1:
                    raise ValueError(f"{p} is no probability")
                if (name in has) != (p >= row["threshold"]):
                    found.append(LabelMistake(unguard(line[path]), name, name in has, p))
    return sorted(found, key=lambda each: (-each.surprise, each.path, each.name))[:WRONG]


def matrix(reliability: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Give the rows of the matrix of labels that come together; None with too many labels.

    Each cell is the number of images and its share of those with the row's label.
    """
    names = [row["name"] for row in reliability["labels"]]
    if len(names) > MATRIX:
        return None
    rows = zip(names, reliability["cooccurrence"], strict=True)
    return [
        {"name": name, "cells": [(count, count / max(row[number], 1)) for count in row]}
        for number, (name, row) in enumerate(rows)
    ]
