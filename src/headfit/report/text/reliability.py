"""Trust in words: calibration, prediction sets, intervals of numbers, suspect labels, int8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headfit.images.targets import CLASS, LABELS, NUMBER
from headfit.report.text.metrics import METRICS, Metric
from headfit.report.text.numbers import (
    enumerated,
    mean_count,
    percent,
    points,
    score,
    significant,
)
from headfit.report.text.targets import NAMED

ALPHA = 0.05


def trust(reliability: Mapping[str, Any]) -> str:
    """Say in one line how far predictions can be trusted, and how many labels look wrong.

    Args:
        reliability: the ``reliability`` object of ``results.json``.
    """
    lines = {CLASS: calibration, LABELS: _f1, NUMBER: _half_widths}
    return f"{lines[kind_in(reliability)](reliability)}; {suspects(reliability)}"


def held_out(reliability: Mapping[str, Any]) -> str:
    """Say what predictions of held-out images show, in sentences.

    Args:
        reliability: the ``reliability`` object of ``results.json``.
    """
    sentences = {CLASS: prediction_sets, LABELS: thresholds, NUMBER: intervals}
    return sentences[kind_in(reliability)](reliability)


def kind_in(reliability: Mapping[str, Any]) -> str:
    """Give the kind of target; old runs are of classes, and do not say so."""
    return str(reliability.get("kind", CLASS))


def thresholds(reliability: Mapping[str, Any]) -> str:
    """Say how well labels are told at thresholds of their own, and what temperatures do."""
    rows = reliability["labels"]
    scaled = [row for row in rows if row["temperature"] != 1]
    text = (
        f"Each label has a threshold of its own, chosen on the other folds for the highest F1: F1 "
        f"over all images and labels is {percent(reliability['micro_f1'])} %, the mean over "
        f"labels {percent(reliability['macro_f1'])} %."
    )
    if not scaled:
        return f"{text} No temperature improves the probabilities."
    before, after = (
        sum(row[f"log_loss_{when}"] for row in rows) / len(rows) for when in ("before", "after")
    )
    log_loss = METRICS["log_loss"]
    return (
        f"{text} Temperatures of {len(scaled)} of {len(rows)} labels change the mean log-loss from "
        f"{log_loss.plain(before)} to {log_loss.plain(after)}."
    )


def intervals(reliability: Mapping[str, Any]) -> str:
    """Say how far intervals around predicted numbers reach, and how often they hold the number."""
    measured, columns = reliability["intervals"], reliability["columns"]
    parts = []
    for number, column in enumerate(columns[:NAMED]):
        width = measured["half_widths"][number]
        if width is None:
            parts.append(f"{column['name']} has too few images for one")
            continue
        coverage = {"mean": measured["coverage"][number]}
        coverage |= {end: measured[end][number] for end in ("low", "high")}
        parts.append(f"{column['name']} ± {significant(width)} holds {score(coverage)}")
    more = len(columns) - NAMED
    rest = f" The table has {more} more." if more > 0 else ""
    return (
        f"Intervals that aim at {percent(measured['level'], 0)} % of the true numbers: "
        f"{enumerated(parts)} of those of held-out images.{rest}"
    )


def _f1(reliability: Mapping[str, Any]) -> str:
    return (
        f"F1 {percent(reliability['micro_f1'])} % over all images and labels, "
        f"{percent(reliability['macro_f1'])} % as a mean over labels"
    )


def _half_widths(reliability: Mapping[str, Any]) -> str:
    measured, columns = reliability["intervals"], reliability["columns"]
    known = [
        f"{column['name']} ± {significant(width)}"
        for column, width in zip(columns, measured["half_widths"], strict=True)
        if width is not None
    ]
    if not known:
        return "too few images for intervals"
    named = f"{enumerated(known[:NAMED])}{', …' if len(known) > NAMED else ''}"
    return f"{percent(measured['level'], 0)} % intervals: {named}"


def prediction_sets(reliability: Mapping[str, Any]) -> str:
    """Say what share of images prediction sets cover, and how large the sets are.

    Args:
        reliability: the ``reliability`` object of ``results.json``.
    """
    sets = reliability["conformal"]
    # runs before version 2 lack the interval
    coverage = {end: sets.get(f"coverage_{end}") for end in ("low", "high")}
    return (
        f"Prediction sets that aim at {percent(sets['level'], 0)} % contain the true class of "
        f"{score({'mean': sets['coverage'], **coverage})} of held-out images and hold "
        f"{sets['mean_size']:.2f} classes on average."
    )


def calibration(reliability: Mapping[str, Any]) -> str:
    """Say how far probabilities are off, and which way if that was shown, as a clause."""
    temperature, confidence = reliability["temperature"], reliability.get("confidence")
    error = f"calibration error {percent(temperature['ece_before'])} %"
    if confidence is None:  # before version 2
        return error
    error += f" ({percent(temperature['ece_expected'])} % by chance)"
    way = leaning(confidence)
    if not way:
        return error
    apart = abs(confidence["probability"] - confidence["accuracy"])
    return f"{way} by {points(apart)}, {error}"


def leaning(confidence: Mapping[str, Any]) -> str:
    """Say whether a head is over- or underconfident; nothing unless it was shown."""
    if confidence["probability"] > confidence["high"]:
        return "overconfident"
    return "underconfident" if confidence["probability"] < confidence["low"] else ""


def temperature(scaling: Mapping[str, Any]) -> str:
    """Say whether a temperature is applied, as a clause.

    Args:
        scaling: the ``temperature`` object of ``results.json``.
    """
    if scaling["value"] == 1:
        return "no temperature improves it"
    return f"{percent(scaling['ece_after'])} % with temperature {scaling['value']:.2f}"


def suspects(reliability: Mapping[str, Any]) -> str:
    """Say how many labels look wrong, and how many would if none were, as a clause."""
    count, expected = reliability["suspects_found"], reliability.get("suspects_expected")
    number = kind_in(reliability) == NUMBER
    what = "number" if number else "label"
    if not count:
        return f"no {what} looks wrong"
    if number:
        images = "1 image is" if count == 1 else f"{count:,} images are"
        return f"{images} labelled far from what is predicted (suspects.csv)"
    labels = f"{'1 label looks' if count == 1 else f'{count:,} labels look'} wrong"
    if expected is None:  # before version 2
        return f"{labels} (suspects.csv)"
    than = "more than the " if expected["p_value"] <= ALPHA else ""
    return f"{labels}, {than}{_about(expected)} expected by chance (suspects.csv)"


def expected_suspects(reliability: Mapping[str, Any]) -> str:
    """Say how many labels would look wrong if none were, in a sentence; nothing if unknown."""
    expected = reliability.get("suspects_expected")
    if expected is None:  # before version 2
        return ""
    if expected["p_value"] <= ALPHA:
        return f"If all labels were right, only about {_about(expected)} would look wrong."
    return f"If all labels were right, about {_about(expected)} would look wrong too."


def _about(expected: Mapping[str, Any]) -> str:
    return mean_count(expected["mean"] if expected["mean"] < 10 else round(expected["mean"]))


def sentence(precision: Mapping[str, Any], metric: str = "balanced_accuracy") -> str:
    """Say what int8 changes in the score, the maps and the speed.

    Args:
        precision: the ``precision`` object of ``results.json``.
        metric: the primary one.
    """
    scored = METRICS[metric]
    calibrated = precision["calibrated"]
    used = f"{calibrated} of them" if calibrated else "none of them"
    head, change = precision["head"], precision["difference"]
    which = head if precision["recommended"] else f"{head}, the best linear head,"
    return (
        f"int8 changes the {scored.name} of {which} by "
        f"{_change(scored, change['mean'])} ({scored.range(change)}), from "
        f"{scored.value(precision['float32'])} to {scored.value(precision['int8'])}, and runs "
        f"{precision['speedup']:.2f} times as fast as float32. Measured on "
        f"{precision['images']:,} of your images ({used} used for calibration); the cosine between "
        f"the feature maps is {precision['cosine_mean']:.4f} on average, "
        f"{precision['cosine_lowest']:.4f} at the lowest. The table shows int8 scores; model.keras "
        f"runs in float32, where the head trained on int8 has {scored.value(precision['crossed'])}."
    )


def _change(metric: Metric, value: float) -> str:
    return (metric.difference if metric.is_share else metric.change)(value, signed=True)
