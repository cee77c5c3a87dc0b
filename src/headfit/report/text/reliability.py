"""Trust in words: calibration, prediction sets, suspect labels, the test split, int8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headfit.report.text.numbers import percent, point_range, points


def prediction_sets(reliability: Mapping[str, Any]) -> str:
    """Say what share of images prediction sets cover, and how large the sets are.

    Args:
        reliability: the ``reliability`` object of ``results.json``.
    """
    sets = reliability["conformal"]
    return (
        f"Prediction sets that aim at {percent(sets['level'], 0)} % contain the true class of "
        f"{percent(sets['coverage'])} % of images and hold {sets['mean_size']:.2f} classes on "
        f"average."
    )


def suspects(count: int) -> str:
    """Say how many labels look wrong, as a clause."""
    if not count:
        return "no label looks wrong"
    return f"{'1 label looks' if count == 1 else f'{count:,} labels look'} wrong (suspects.csv)"


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
