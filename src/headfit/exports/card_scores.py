"""The scores on a card: those of the model, and those of each class, label or number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headfit.exports.markdown import plain, table
from headfit.images.targets import CLASS, LABELS, NUMBER
from headfit.report.text import model_card as text
from headfit.report.text.metrics import METRICS
from headfit.report.text.numbers import percent, significant
from headfit.report.text.reliability import kind_in
from headfit.report.text.targets import NOUNS
from headfit.util.nouns import counted

ROWS = 50  # classes, labels or numbers that have one
# what Hugging Face calls the metrics of its front matter
TYPES = {
    CLASS: {"balanced_accuracy": "accuracy", "accuracy": "accuracy", "macro_f1": "f1"},
    LABELS: {
        "macro_average_precision": "average_precision",
        "micro_f1": "f1",
        "macro_f1": "f1",
    },
    NUMBER: {"r2": "r_squared", "rmse": "rmse", "mae": "mae"},
}
TASKS = {CLASS: "image-classification", LABELS: "image-classification", NUMBER: "image-regression"}
_DATA = {"type": "image-folder", "name": "training images, cross-validated"}
_TEST = {"type": "image-folder", "name": "test split"}


def model_index(
    kind: str, candidate: Mapping[str, Any], test: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """Give the scores for the front matter.

    Args:
        kind: of the targets.
        candidate: the row of the model's head in ``results.json``.
        test: scores on the test split, or None.
    """
    types = TYPES[kind]
    entries = [_entry(kind, _DATA, {name: candidate[name]["mean"] for name in types})]
    if test:
        entries.append(_entry(kind, _TEST, {name: test[name] for name in types}))
    return entries


def _entry(kind: str, data: Mapping[str, str], values: Mapping[str, float]) -> dict[str, Any]:
    metrics = [
        {"type": TYPES[kind][name], "name": METRICS[name].name, "value": round(number, 4)}
        for name, number in values.items()
        if number is not None
    ]
    return {"task": {"type": TASKS[kind]}, "dataset": dict(data), "metrics": metrics}


def score_table(candidate: Mapping[str, Any], test: Mapping[str, Any] | None) -> str:
    """List all metrics; see :func:`model_index`."""
    columns = ["", "cross-validation"] + (["test split"] if test else [])
    rows = []
    for name in (name for name in METRICS if name in candidate):
        cells = [METRICS[name].name, text.metric(name, candidate[name])]
        if test:
            ends = test.get("intervals", {}).get(name, {})
            cells.append(text.metric(name, {"mean": test.get(name), **ends}))
        rows.append(cells)
    return table(columns, rows)


def each_table(reliability: Mapping[str, Any]) -> list[str]:
    """Give a heading and the figures of each class, label or number; nothing without any.

    Args:
        reliability: the ``reliability`` object of ``results.json``.
    """
    kind = kind_in(reliability)
    key, columns, cells = _OF_KIND[kind]
    rows = reliability[key]
    if not rows:
        return []
    listed = table(columns, list(cells(reliability, rows[:ROWS])))
    if (more := len(rows) - ROWS) > 0:
        one, several = NOUNS[kind]
        listed += f"\n\n… and {counted(more, f'more {one}', f'more {several}')}."
    return [f"## Scores by {NOUNS[kind][0]}", listed]


def _classes(_: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Iterator[list[str]]:
    for row in rows:
        # the ends are not in runs before version 2
        ends = {"low": row.get("recall_low"), "high": row.get("recall_high")}
        yield [
            plain(row["name"]),
            f"{row['images']:,}",
            text.metric("accuracy", {"mean": row["recall"], **ends}),
            f"{percent(row['precision'])} %",
            f"{percent(row['f1'])} %",
            plain(row["confused_with"] or ""),
        ]


def _labels(_: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Iterator[list[str]]:
    names = ("average_precision", "recall", "precision", "f1", "threshold")
    for row in rows:
        shares = [f"{percent(row[name])} %" for name in names]
        yield [plain(row["name"]), f"{row['images']:,}", *shares]


def _numbers(
    reliability: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> Iterator[list[str]]:
    widths = reliability["intervals"]["half_widths"]
    for row, width in zip(rows, widths, strict=False):
        yield [
            plain(row["name"]),
            METRICS["r2"].plain(row["r2"]),
            significant(row["mae"]),
            significant(row["rmse"]),
            "" if width is None else f"± {significant(width)}",
            f"{significant(row['low'])} to {significant(row['high'])}",
        ]


_OF_KIND = {
    CLASS: ("classes", ("class", "images", "recall", "precision", "F1", "taken for"), _classes),
    LABELS: (
        "labels",
        ("label", "images", "average precision", "recall", "precision", "F1", "threshold"),
        _labels,
    ),
    NUMBER: ("columns", ("number", "R²", "MAE", "RMSE", "interval", "true numbers"), _numbers),
}
