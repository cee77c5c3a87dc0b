"""Whether training more than the head pays: each row against the frozen head, on the same folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.study.comparison.compare import Difference, by_name, holm, or_none
from headfit.study.comparison.contrast import ALPHA, HeadScores

PAYS, AHEAD, EQUIVALENT = "pays", "ahead", "equivalent"
DOES_NOT_PAY, UNDECIDED = "does_not_pay", "undecided"


@dataclass(frozen=True)
class Gain:
    """What a row brings beyond the frozen head.

    Attributes:
        name: of the row.
        word: ``"pays"`` (better by more than the rope), ``"ahead"`` (better), ``"equivalent"``,
            ``"does_not_pay"`` (not better by more than the rope), ``"undecided"``.
        difference: its primary metric minus that of the frozen head.
        p_value: of the difference, after Holm's correction over all rows.
        seconds_ratio: its training time over that of the frozen head.
    """

    name: str
    word: str
    difference: Difference
    p_value: float
    seconds_ratio: float

    def to_dict(self) -> dict[str, Any]:
        """Give plain data that JSON can hold."""
        interval = (self.difference.mean, self.difference.low, self.difference.high)
        return {
            "name": self.name,
            "word": self.word,
            "difference": {
                **by_name(interval),
                "p_value": or_none(self.difference.p_value),
                "p_rope": or_none(self.difference.p_rope),
                "p_better": or_none(self.difference.p_better),
            },
            "holm_p_value": or_none(self.p_value),
            "train_seconds_ratio": round(self.seconds_ratio, 2),
        }


def gains(
    heads: HeadScores, pairs: Sequence[tuple[int, int]], seconds: Sequence[float]
) -> list[Gain]:
    """Compare rows with the frozen head on the same backbone.

    Args:
        heads: scores of all rows.
        pairs: places of each row that is compared, and of its frozen head.
        seconds: training time of every row.
    """
    differences = [heads.difference(row, frozen) for row, frozen in pairs]
    adjusted = holm(np.array([each.p_value for each in differences]))
    return [
        Gain(
            heads.names[row],
            word(difference, float(p)),
            difference,
            float(p),
            seconds[row] / max(seconds[frozen], 1e-3),
        )
        for (row, frozen), difference, p in zip(pairs, differences, adjusted, strict=True)
    ]


def word(difference: Difference, p_value: float) -> str:
    """Find the word for a difference; each is said only if it has been shown.

    nan passes no threshold.

    Args:
        difference: of a row and the frozen head.
        p_value: of the difference, corrected.
    """
    if difference.p_rope >= 1 - ALPHA:
        return EQUIVALENT
    if difference.p_better <= ALPHA:
        return DOES_NOT_PAY
    if not (p_value < ALPHA and difference.mean > 0):
        return UNDECIDED
    return PAYS if difference.p_better >= 1 - ALPHA else AHEAD
