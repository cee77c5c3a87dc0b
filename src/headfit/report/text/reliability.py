"""Trust in words: calibration, prediction sets, suspect labels, and the score on the test split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headfit.report.text.numbers import percent


def trust(reliability: Mapping[str, Any]) -> str:
    """Say how far probabilities can be trusted, and how many labels look wrong.

    Args:
        reliability: the ``reliability`` object of ``results.json``.
    """
    temperature, sets = reliability["temperature"], reliability["conformal"]
    return (
        f"Probabilities are off by {percent(temperature['ece_before'])} % on average "
        f"({percent(temperature['ece_after'])} % with temperature {temperature['value']:.2f}); "
        f"prediction sets for {percent(sets['level'], 0)} % coverage hold "
        f"{sets['mean_size']:.1f} classes on average; {suspects(reliability['suspects_found'])}."
    )


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
        f"{test['head']} has {percent(test['balanced_accuracy'])} % balanced accuracy "
        f"({percent(test['accuracy'])} % accuracy) on {test['images']:,} test images, scored once; "
        f"always guessing the largest class has {percent(test['majority_accuracy'])} % accuracy."
    )
