"""What mistakes of evaluation would have claimed, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headfit.report.text.metrics import METRICS
from headfit.report.text.numbers import enumerated

TUNED, LEAKED, CHOSEN = "settings", "duplicates", "best head"
_MISTAKES = {
    TUNED: "choosing settings on the scored folds",
    LEAKED: "images that belong together in different folds",
    CHOSEN: "the best head's own score",
}


def inflations(claims: Mapping[str, Any]) -> dict[str, float]:
    """Give how much each mistake adds to the score, for the last head, as a rule flatten.

    Settings are those that are best on average over the folds.

    Args:
        claims: the ``claims`` object of ``results.json``.

    Returns:
        By the kind of mistake, a fraction; what was not measured is left out.
    """
    head = claims["heads"][-1] if claims["heads"] else None
    found = {
        TUNED: head and head["tuning"]["overall"],
        LEAKED: head and head["groups"],
        CHOSEN: claims["selection"],
    }
    return {name: each["inflation"] for name, each in found.items() if each}


def summary(claims: Mapping[str, Any]) -> str:
    """Say in one line what mistakes would have claimed.

    Args:
        claims: the ``claims`` object of ``results.json``.
    """
    metric = METRICS[claims["metric"]]
    parts = [
        f"{_MISTAKES[name]} {metric.difference(value, signed=True)}"
        for name, value in inflations(claims).items()
    ]
    of = f" ({claims['heads'][-1]['name']})" if claims["heads"] else ""
    return f"claimed − honest score{of}: {enumerated(parts)}"
