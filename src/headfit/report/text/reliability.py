"""Trust in words: calibration, prediction sets, suspect labels, the test split, int8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headfit.report.text.numbers import mean_count, percent, point_range, points, score

ALPHA = 0.05


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
    if not count:
        return "no label looks wrong"
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


def on_test_split(test: Mapping[str, Any]) -> str:
    """Say what the recommended head scores on the test split.

    Args:
        test: the ``test`` object of ``results.json``.
    """
    return (
        f"{test['head']} has {tested(test, 'balanced_accuracy')} balanced accuracy "
        f"({percent(test['accuracy'])} % accuracy) on {test['images']:,} test images, scored once; "
        f"always guessing the largest class has {percent(test['majority_accuracy'])} % accuracy."
    )


def tested(test: Mapping[str, Any], metric: str) -> str:
    """Write a score on the test split with its interval, which runs before version 2 lack."""
    ends = test.get("intervals", {}).get(metric)
    spread = f" ({percent(ends['low'])} to {percent(ends['high'])})" if ends else ""
    return f"{percent(test[metric])} %{spread}"


def sentence(precision: Mapping[str, Any]) -> str:
    """Say what int8 changes in the score, the maps and the speed.

    Args:
        precision: the ``precision`` object of ``results.json``.
    """
    calibrated = precision["calibrated"]
    used = f"{calibrated} of them" if calibrated else "none of them"
    head, change = precision["head"], precision["difference"]
    which = head if precision["recommended"] else f"{head}, the best linear head,"
    return (
        f"int8 changes the balanced accuracy of {which} by "
        f"{points(change['mean'], signed=True)} ({point_range(change)}), from "
        f"{percent(precision['float32'])} % to {percent(precision['int8'])} %, and runs "
        f"{precision['speedup']:.2f} times as fast as float32. Measured on "
        f"{precision['images']:,} of your images ({used} used for calibration); the cosine between "
        f"the feature maps is {precision['cosine_mean']:.4f} on average, "
        f"{precision['cosine_lowest']:.4f} at the lowest. The table shows int8 scores; model.keras "
        f"runs in float32, where the head trained on int8 has {percent(precision['crossed'])} %."
    )
