"""What a sweep of learning rates shows, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def rate(value: float) -> str:
    """Write a learning rate with two digits, ``2.3e-4``."""
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def sentence(results: Mapping[str, Any]) -> str:
    """Say which rate the sweep suggests, and where the loss is lowest or explodes.

    Args:
        results: as in :class:`headfit.LearningRates`.
    """
    steps, suggested = results["steps"], results["learning_rate"]
    known = [step for step in steps if step["average"] is not None]
    lowest = min(known, key=lambda step: step["average"]) if known else None
    end = (
        f"the loss explodes at {rate(steps[-1]['learning_rate'])}"
        if results["exploded"]
        else f"it does not explode up to {rate(steps[-1]['learning_rate'])}"
    )
    if suggested is None or lowest is None:
        return f"No rate is suggested: the loss does not fall at any of them, and {end}."
    return (
        f"Try a learning rate of {rate(suggested)}, in the middle of the longest descent of the "
        f"loss. It is lowest at {rate(lowest['learning_rate'])}; {end}."
    )
