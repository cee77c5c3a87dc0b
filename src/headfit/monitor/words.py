"""The progress of a run in words, for the page and for its script."""

from __future__ import annotations

from typing import Any

from headfit.errors import DataError
from headfit.report.text import metrics
from headfit.report.text.metrics import METRICS
from headfit.util.records import DAMAGE

CANNOT_SHOW = "progress.json lacks values that the page shows. Run compare again."
TITLES = {"running": "Comparing heads", "done": "Done", "stopped": "Stopped", "failed": "Failed"}
_RESUME = "Finished work is kept: run the same command to continue."


def in_words(progress: dict[str, Any]) -> dict[str, Any]:
    """Add words to the content of ``progress.json``: what the page shows, and its script too.

    Args:
        progress: with ``silent``.

    Returns:
        The same with ``title`` and ``headline``, ``amount`` in each stage, ``metric`` with the
        words for scores, and in each of the ``scores`` the ``score`` and what is ``written``.

    Raises:
        DataError: if a value is missing or of another type.
    """
    try:
        return progress | {
            "title": TITLES[progress["state"]],
            "headline": headline(progress),
            "stages": [stage | {"amount": amount(stage)} for stage in progress["stages"]],
            "metric": words_for(progress["scores"]),
            "scores": [score | _written(score) for score in progress["scores"]],
        }
    except DAMAGE as error:
        raise DataError(CANNOT_SHOW) from error


def words_for(scores: list[dict[str, Any]]) -> dict[str, Any]:
    """Name what is measured, for the caption, the columns and the axis of the scores."""
    key = metrics.primary(scores[0]) if scores else metrics.BALANCED_ACCURACY
    metric, loss = METRICS[key], METRICS[metrics.loss_key(key)]
    return {
        "name": metric.name,
        "heading": f"{metric.name} %" if metric.is_share else metric.name,
        "loss": loss.name,
        "scale": metric.scale,
        "unit": " %" if metric.is_share else "",
    }


def _written(row: dict[str, Any]) -> dict[str, Any]:
    key, metric = metrics.primary(row), metrics.metric_of(row)
    loss = metrics.loss_key(key)
    score = row[key]
    return {
        "score": score,
        "written": {
            "value": metric.value(score["mean"]),
            "mean": metric.plain(score["mean"]),
            "ends": "?" if score["low"] is None else metric.ends(score),
            "loss": METRICS[loss].plain(row[loss]["mean"]),
        },
    }


def headline(progress: dict[str, Any]) -> str:
    """Say in one line how a run stands."""
    state, silent = progress["state"], progress["silent"]
    if state == "failed":
        return progress["error"] or "The run failed."
    if state == "stopped":
        if silent:
            return f"The process ended without a message {duration(silent)} ago. {_RESUME}"
        return f"The run was interrupted. {_RESUME}"
    if state == "done":
        return "The run is done. It wrote no report."
    if silent:
        return f"No sign of life for {duration(silent)}: the run is suspended or cannot write."
    stages = progress["stages"]
    return stages[-1]["name"] if stages else "The run is about to start."


def amount(stage: dict[str, Any]) -> str:
    """Say how far a stage is: images, images per second, skipped files, time taken."""
    parts = []
    if stage["unit"]:
        parts.append(f"{stage['done']:,.0f} of {stage['total']:,.0f} {stage['unit']}")
        if stage["rate"] is not None:
            parts.append(f"{stage['rate']:,.1f} {stage['unit']}/s")
    elif stage["total"] > 1:
        parts.append(f"{int(stage['done'])} of {stage['total']:.0f}")
    if stage["skipped"]:
        parts.append(f"{stage['skipped']} skipped")
    if stage["detail"] and not stage["over"]:
        parts.append(stage["detail"])
    parts.append(duration(stage["seconds"]))
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Write seconds as ``0.4 s``, ``12 s``, ``3 min 5 s`` or ``2 h 10 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
