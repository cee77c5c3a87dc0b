"""Learning curves in words: what more images would bring, and where one head overtakes another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headfit.report.text.metrics import BALANCED_ACCURACY, METRICS, Metric
from headfit.report.text.numbers import about, enumerated, percent
from headfit.study.learning_curve.curve import LearningCurve, WorkLimit
from headfit.study.learning_curve.powerlaw import LEAST_SIZES, Refusal

LITTLE = 0.005  # a gain that surely stays below this fraction would hardly help
ROUNDED = 0.0005  # below this, 0.0 points are shown


def in_words(curve: LearningCurve) -> dict[str, Any]:
    """Give the ``learning_curve`` object of ``results.json``: the numbers, and words for them."""
    data = curve.to_dict()
    for row, head in zip(data["heads"], curve.heads, strict=True):
        why = head.refusal
        row["refusal"] = None if why is None else refusal(why, METRICS[curve.metric])
    data["notes"] = [note for limit in curve.limits for note in notes(limit)]
    return {**data, "sentence": sentence(data)}


def sentence(curve: Mapping[str, Any]) -> str:
    """Say what more images would bring each head, and where heads cross.

    Args:
        curve: the ``learning_curve`` object of ``results.json``.
    """
    return " ".join(
        [
            *(_gain(head, curve) for head in curve["heads"]),
            *(_crossing(crossing, curve["images"]) for crossing in curve["crossings"]),
        ]
    )


def title(curve: Mapping[str, Any]) -> str:
    """Say the same as :func:`sentence` in one line."""
    metric = metric_of(curve)
    gains = [head for head in curve["heads"] if head["gain"]]
    without = [head["name"] for head in curve["heads"] if not head["gain"]]
    if not gains:
        first = curve["heads"][0]
        ends = (
            f"{metric.score(p)} with {p['images']:,} images"
            for p in (first["points"][0], first["points"][-1])
        )
        name = first["name"] if metric.is_share else f"{metric.name} of {first['name']}"
        return f"No forecast; {name}: {', '.join(ends)}"
    parts = [_brief(head["name"], head["gain"], metric) for head in gains]
    parts += [f"no forecast for {enumerated(without)}"] if without else []
    return f"About {gains[0]['gain']['more_images']:,} more images: {'; '.join(parts)}"


def metric_of(curve: Mapping[str, Any]) -> Metric:
    """Give the metric of a ``learning_curve`` object; old ones name none."""
    return METRICS[curve.get("metric", BALANCED_ACCURACY)]


def refusal(why: Refusal, metric: Metric = METRICS[BALANCED_ACCURACY]) -> str:
    """Say why nothing is forecast, as a clause."""
    first, last = (percent(error) for error in why.errors)
    error = "error" if metric.is_share else "unexplained variance"
    if why.reason == "few_sizes":
        sizes = "1 size" if why.sizes == 1 else f"{why.sizes} sizes"
        return (
            f"only {sizes} up to half of {why.largest:,} training images could be measured; "
            f"{LEAST_SIZES} are needed"
        )
    if why.reason == "no_fall":
        return (
            f"the {error} does not fall with more images beyond its noise ({first} % at "
            f"{why.smallest:,} images, {last} % at {why.largest:,})"
        )
    if why.predicted is None:
        return f"the errors up to {why.half:,} images do not vary, so their noise is unknown"
    mean, low, high = map(percent, why.predicted)
    return (
        f"the curve up to {why.half:,} images predicts an {error} of {mean} % ({low} to {high}) at "
        f"{why.largest:,}, but {last} % was measured"
    )


def notes(limit: WorkLimit) -> list[str]:
    """Say what was done to bound the work on a head."""
    lines = []
    if limit.coordinates is not None:
        lines.append(
            f"{limit.head}: to save time, its learning curve uses {limit.coordinates} coordinates, "
            f"which hold {percent(limit.share)} % of the variance."
        )
    if limit.unfinished:
        lines.append(
            f"{limit.head}: {limit.unfinished} fits of its learning curve stopped before they "
            f"converged."
        )
    return lines


def _gain(head: Mapping[str, Any], curve: Mapping[str, Any]) -> str:
    name, gain = head["name"], head["gain"]
    if head["refusal"]:
        return f"No forecast for {name}: {head['refusal']}."
    if gain is None:
        return (
            f"No forecast for {name}: it was trained on at most {curve['training_images']:,} of "
            f"{curve['images']:,} images, which is too few."
        )
    images = f"{gain['more_images']:,} more images"
    size = gain_size(gain, metric_of(curve))
    if gain["high"] < LITTLE:
        return f"About {images} would hardly help {name}: about {size}."
    if gain["low"] < ROUNDED:
        return f"About {images} may not help {name} at all: about {size}."
    return f"About {images} would bring {name} about {size}."


def _brief(name: str, gain: Mapping[str, Any], metric: Metric) -> str:
    size = gain_size(gain, metric)
    if gain["high"] < LITTLE:
        return f"{name} hardly better, {size}"
    if gain["low"] < ROUNDED:
        return f"{name} perhaps no better, {size}"
    return f"{name} {size}"


def gain_size(gain: Mapping[str, Any], metric: Metric) -> str:
    """Write what more images would bring: ``+1.2 points (0.4 to 2.0)``, ``+0.04 in R² (…)``."""
    if metric.is_share:
        return f"+{metric.plain(gain['mean'])} points ({metric.ends(gain)})"
    mean, spread = metric.change(gain["mean"]), metric.range(gain, signed=False)
    return f"+{mean} in {metric.name} ({spread})"


def _crossing(crossing: Mapping[str, Any], images: int) -> str:
    winner, loser = crossing["overtaking"], crossing["overtaken"]
    if not crossing["sure"]:
        return f"It is unclear whether {winner} overtakes {loser} at any number of images."
    verb = "would overtake" if crossing["images"] > images else "overtakes"
    return (
        f"{winner} {verb} {loser} at about {about(crossing['images'])} images "
        f"({about(crossing['low'])} to {about(crossing['high'])})."
    )
