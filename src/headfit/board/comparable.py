"""Which records may stand side by side, and what keeps others apart."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from headfit.report.text.board import differences

Rows = list[dict[str, Any]]
FACTS = ("metric", "folds", "repeats", "rope", "statistics")
"""What must agree; where rows are of the same images, their folds must agree as well."""


def split(rows: Sequence[Mapping[str, Any]]) -> list[Rows]:
    """Put rows that may stand side by side into one group each, the largest group first.

    Args:
        rows: of :func:`headfit.board.rows.row_of`.
    """
    groups: dict[Hashable, Rows] = {}
    draws: dict[Hashable, list[str]] = {}
    for row in rows:
        facts = tuple(row[name] for name in FACTS)
        drawn = draws.setdefault((facts, row["data"]), [])
        if row["drawn"] not in drawn:
            drawn.append(row["drawn"])
        groups.setdefault((facts, drawn.index(row["drawn"])), []).append(dict(row))
    return sorted(groups.values(), key=len, reverse=True)


def refusal(groups: Sequence[Rows]) -> str:
    """Say what keeps groups apart, and which rows differ; empty if there is one group."""
    if len(groups) < 2:
        return ""
    what: dict[str, dict[Any, list[str]]] = {}
    for name in FACTS:
        values: dict[Any, list[str]] = {}
        for row in (row for group in groups for row in group):
            values.setdefault(row[name], []).append(row["name"])
        if len(values) > 1:
            what[name] = values
    if not what:  # the same images in other folds
        what["drawn"] = {number: [r["name"] for r in group] for number, group in enumerate(groups)}
    return differences(what)
