"""Whether fine-tuning pays, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headfit.report.text.numbers import point_range, points

_HEADLINES = {
    "pays": "Fine-tuning pays here.",
    "ahead": "Fine-tuning is ahead of the frozen head; whether by enough to pay is open.",
    "equivalent": "Fine-tuning makes no difference here.",
    "does_not_pay": "Fine-tuning does not pay here.",
    "undecided": "These images do not decide whether fine-tuning pays.",
}
_SUBJECTS = {
    "views": "Training the head on views",
    "last": "Fine-tuning the last stage",
    "all": "Fine-tuning the whole backbone",
    "scratch": "Training from scratch",
}


def headline(gain: Mapping[str, Any]) -> str:
    """Answer whether fine-tuning pays, without numbers; ``gain`` as in ``verdict.finetune``."""
    return _HEADLINES[gain["word"]]


def sentence(gain: Mapping[str, Any], variant: str) -> str:
    """Say what a row brings and what it costs.

    Args:
        gain: of the row, as in ``results.json``.
        variant: what was trained: ``views``, ``last``, ``all``, ``scratch``, a number of stages,
            or the layer after which training starts.
    """
    difference = gain["difference"]
    spread = "" if difference["low"] is None else f" ({point_range(difference)})"
    verb = "brings" if difference["mean"] >= 0 else "costs"
    size = (
        points(difference["mean"], signed=True) if verb == "brings" else points(-difference["mean"])
    )
    if verb == "costs" and difference["low"] is not None:
        spread = f" ({point_range({'low': -difference['high'], 'high': -difference['low']})})"
    return f"{subject(variant)} {verb} {size}{spread} for {_times(gain['train_seconds_ratio'])}."


def subject(variant: str) -> str:
    """Name what a row does, as the subject of a sentence."""
    if variant in _SUBJECTS:
        return _SUBJECTS[variant]
    if variant.isdecimal():
        return f"Fine-tuning the last {variant} stages"
    return f"Fine-tuning what follows {variant}"


def _times(ratio: float) -> str:
    if ratio < 1.5:
        return "about the same training time"
    return f"{ratio:,.0f} times the training time"
