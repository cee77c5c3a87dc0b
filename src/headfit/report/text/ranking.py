"""A ranking of backbones in words: which is ahead, and which may be as good."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headfit.backbones.weights import IMAGENET
from headfit.report.text.numbers import enumerated, points, score

QUICKER = 0.9  # a ratio of times closer to 1 is noise of the clock


def label(name: str, weights: str) -> str:
    """Name a backbone, with its weights if they are not the usual ones."""
    return name if weights == IMAGENET else f"{name} ({Path(weights).name} weights)"


def sentence(rows: Sequence[dict[str, Any]]) -> str:
    """Say which backbone is ahead, and which may be as good.

    Args:
        rows: ``backbones`` of the ranking's JSON, best first.
    """
    best, *others = rows
    name, accuracy = _label(best), f"{score(best['balanced_accuracy'])} balanced accuracy"
    if not others:
        return f"{name} has {accuracy}. No other backbone was ranked."
    equal = [row for row in others if row["within_noise"]]
    if not equal:
        lead = points(-others[0]["difference"]["mean"])
        return f"{name} is best: {accuracy}, {lead} above the next, which is beyond the noise."
    names = enumerated([_label(row) for row in equal], "or")
    start = f"{name} leads with {accuracy}, but these images cannot tell it from {names}."
    cheaper = [row for row in equal if row["latency_ms"] < QUICKER * best["latency_ms"]]
    if not cheaper:
        return start
    quick = min(cheaper, key=lambda row: float(row["latency_ms"]))
    return (
        f"{start} {_label(quick)} is faster: {quick['latency_ms']:.1f} ms per image instead of "
        f"{best['latency_ms']:.1f}."
    )


def _label(row: dict[str, Any]) -> str:
    return label(row["backbone"], row["weights"])
