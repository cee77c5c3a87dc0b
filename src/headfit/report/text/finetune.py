"""Whether fine-tuning pays, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headfit.report.text.metrics import BALANCED_ACCURACY, METRICS
from headfit.report.text.numbers import enumerated
from headfit.study.comparison.contrast import ALPHA

SCRATCH = "scratch"
_HEADLINES = {
    "pays": "{} pays here.",
    "ahead": "{} is ahead of the frozen head; whether by enough to pay is open.",
    "equivalent": "{} makes no difference here.",
    "does_not_pay": "{} does not pay here.",
    "undecided": "These images do not decide whether {} pays.",
}
_SUBJECTS = {
    "views": "Training the head on views",
    "last": "Fine-tuning the last stage",
    "all": "Fine-tuning the whole backbone",
    SCRATCH: "Training from scratch",
}


def headline(gain: Mapping[str, Any], variant: str) -> str:
    """Answer whether fine-tuning pays, without numbers; arguments as for :func:`sentence`."""
    what = _SUBJECTS[SCRATCH] if variant == SCRATCH else "Fine-tuning"
    line = _HEADLINES[gain["word"]]
    return line.format(what if line.startswith("{}") else _lower(what))


def sentence(
    gain: Mapping[str, Any], variant: str, backbone: str = "", metric: str = BALANCED_ACCURACY
) -> str:
    """Say what a row brings, if that is beyond noise, and what it costs.

    Args:
        gain: of the row, as in ``results.json``.
        variant: what was trained: ``views``, ``last``, ``all``, ``scratch``, a number of stages,
            or the layer after which training starts.
        backbone: that was trained, if there are several.
        metric: the primary one.
    """
    scored = METRICS[metric]
    who = f"With {backbone}, {_lower(subject(variant))}" if backbone else subject(variant)
    if gain.get("diverged"):
        return (
            f"{who} diverged in every fold, so the frozen head was kept: a lower learning rate "
            f"may do better."
        )
    mean, low, high = (gain["difference"][end] for end in ("mean", "low", "high"))
    time, p_value = _training_time(gain["train_seconds_ratio"]), gain["holm_p_value"]
    if p_value is None or p_value >= ALPHA:
        spread = "" if low is None else f" ({scored.range({'low': low, 'high': high})})"
        change = f"{scored.difference(mean, signed=True)}{spread}"
        return f"{who} makes no clear difference: {change}, for {time}."
    if mean > 0:
        spread = scored.range({"low": low, "high": high})
        return f"{who} brings {scored.difference(mean, signed=True)} ({spread}) for {time}."
    spread = scored.range({"low": -high, "high": -low}, signed=False)
    return f"{who} loses {scored.difference(-mean)} ({spread}) and takes {time}."


def sizes(backbones: Sequence[Mapping[str, Any]]) -> str:
    """Say how many parameters several backbones have; nothing of one.

    Args:
        backbones: of ``results.json``.
    """
    if len(backbones) == 1:
        return ""
    first, *rest = (f"{each['parameters']:,}" for each in backbones)
    names = [each["name"] for each in backbones]
    others = (f"{name} {count}" for name, count in zip(names[1:], rest, strict=True))
    return f"without a head, {names[0]} has {first} parameters, {enumerated(list(others))}"


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


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]


def _training_time(ratio: float) -> str:
    if ratio < 1.5:
        return "about the same training time"
    return f"{ratio:,.0f} times the training time"
