"""Whether fine-tuning pays, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headfit.report.text.numbers import point_range, points
from headfit.study.comparison.contrast import ALPHA

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
    """Say what a row brings, if that is beyond noise, and what it costs.

    Args:
        gain: of the row, as in ``results.json``.
        variant: what was trained: ``views``, ``last``, ``all``, ``scratch``, a number of stages,
            or the layer after which training starts.
    """
    if gain.get("diverged"):
        return (
            f"{subject(variant)} diverged in every fold, so the frozen head was kept: a lower "
            f"learning rate may do better."
        )
    mean, low, high = (gain["difference"][end] for end in ("mean", "low", "high"))
    time, p_value = _training_time(gain["train_seconds_ratio"]), gain["holm_p_value"]
    if p_value is None or p_value >= ALPHA:
        spread = "" if low is None else f" ({point_range({'low': low, 'high': high})})"
        change = f"{points(mean, signed=True)}{spread}"
        return f"{subject(variant)} makes no clear difference: {change}, for {time}."
    if mean > 0:
        spread = point_range({"low": low, "high": high})
        return f"{subject(variant)} brings {points(mean, signed=True)} ({spread}) for {time}."
    spread = point_range({"low": -high, "high": -low})
    return f"{subject(variant)} loses {points(-mean)} ({spread}) and takes {time}."


def subject(variant: str) -> str:
    """Name what a row does, as the subject of a sentence."""
    if variant in _SUBJECTS:
        return _SUBJECTS[variant]
    if variant.isdecimal():
        return f"Fine-tuning the last {variant} stages"
    return f"Fine-tuning what follows {variant}"


def times(ratio: float) -> str:
    """Write how many times the training time of the frozen head: ``1.6 ×``, ``1,200 ×``."""
    return f"{ratio:,.1f} ×" if ratio < 10 else f"{ratio:,.0f} ×"


def _training_time(ratio: float) -> str:
    if ratio < 1.5:
        return "about the same training time"
    return f"{ratio:,.0f} times the training time"
