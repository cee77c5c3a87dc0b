"""The effect of int8 in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headfit.report.text.numbers import percent, point_range, points


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
