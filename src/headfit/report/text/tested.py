"""The test split in words: what the recommended head scores on images that nothing has seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headfit.images.targets import CLASS, NUMBER
from headfit.report.text import metrics
from headfit.report.text.metrics import METRICS, Metric, explained, metric_of
from headfit.util.nouns import counted


def sentence(test: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    """Say what the recommended head scores on the test split.

    Args:
        test: the ``test`` object of ``results.json``.
        verdict: the ``verdict`` object.
    """
    key, metric = metrics.primary(verdict), metric_of(verdict)
    kind, on = metrics.kind_for(key), f"on {test['images']:,} test images, scored once"
    score = _score(test, key, metric)
    if kind == CLASS:
        return (
            f"{test['head']} has {score} {metric.name} ({_value(test, 'accuracy')} accuracy) {on}; "
            f"always guessing the largest class has {_value(test, 'majority_accuracy')} accuracy."
        )
    if kind == NUMBER:
        return (
            f"{test['head']} {explained(test[key] or 0.0)}, {metric.name} {score}, {on}; RMSE is "
            f"{_value(test, 'rmse')}, MAE {_value(test, 'mae')}."
        )
    return (
        f"{test['head']} has {score} {metric.name} ({_value(test, 'macro_f1')} macro F1 at a "
        f"probability of one half) {on}."
    )


def summary(test: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    """Say the same in one line; see :func:`sentence`."""
    key, metric = metrics.primary(verdict), metric_of(verdict)
    score, images = _score(test, key, metric), counted(test["images"], "image")
    kind = metrics.kind_for(key)
    if kind == NUMBER:
        return f"{metric.name} {score} on {images}; RMSE {_value(test, 'rmse')}"
    other = "accuracy" if kind == CLASS else "macro_f1"
    name = METRICS[other].name
    return f"{score} {metric.name} on {images}; {name} {_value(test, other)}"


def _score(test: Mapping[str, Any], key: str, metric: Metric) -> str:
    """Write a score with its interval, which runs before version 2 lack."""
    ends = test.get("intervals", {}).get(key) or {"low": None, "high": None}
    return metric.score({"mean": test[key], **ends})


def _value(test: Mapping[str, Any], key: str) -> str:
    name = "accuracy" if key == "majority_accuracy" else key
    return METRICS[name].value(test[key])
