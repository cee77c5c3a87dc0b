"""Does position matter? One answer, which every sentence, line and title follows.

The answer is that of the verdict where flatten is ahead of gap: what is shown of the heads that
ignore position decides whether the lead comes from position. Elsewhere the spectrum is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headfit.study.comparison.contrast import ALPHA
from headfit.study.position.spectrum import leading_prior


@dataclass(frozen=True)
class PositionAnswer:
    """Whether position matters, in balanced accuracy.

    Attributes:
        word: where flatten is ahead of gap,

            - "needed": no head that ignores position is as good as flatten,
            - "not_needed": one is,
            - "open": one may be, or none beside gap was compared,
            - "little": flatten's lead does not matter;

            elsewhere

            - "helps": a spatial prior between the two is ahead of gap,
            - "none": nothing is ahead of gap beyond the noise,
            - "undecided": the same, and whether flatten is ahead is undecided.
        blind: heads that ignore position, gap apart, that the word rests on.
        lead: the point of the spectrum, between gap and flatten, that is ahead of gap; None if
            none is.
    """

    word: str
    blind: list[str]
    lead: dict[str, Any] | None

    @classmethod
    def of(cls, where: Mapping[str, Any], verdict: Mapping[str, Any]) -> PositionAnswer:
        """Find the answer.

        Args:
            where: the ``where`` object of ``results.json``; only ``spectrum`` is read.
            verdict: the ``verdict`` object.
        """
        lead, word = leading_prior(where["spectrum"]), verdict["flatten"]
        blind: dict[str, list[str]] = {"as_good": [], "open": [], "worse": []}
        for head in verdict.get("cheaper", ()):  # runs before headfit.results/2 have none
            if not head["position_aware"]:
                blind[head["against_flatten"]].append(head["head"])
        if blind_does(verdict):
            return cls("not_needed", blind["as_good"], lead)
        if word == "ahead" and (blind["open"] or not blind["worse"]):
            return cls("open", blind["open"], lead)
        if word in ("necessary", "position_needed", "ahead"):
            return cls("needed", blind["worse"], lead)
        if lead:
            return cls("helps", [], lead)
        if small_lead(verdict):
            return cls("little", [], lead)
        return cls("undecided" if word == "undecided" else "none", [], lead)


def blind_does(verdict: Mapping[str, Any]) -> bool:
    """Tell whether flatten is ahead of gap, but a head that ignores position is as good.

    Args:
        verdict: the ``verdict`` object of ``results.json``.
    """
    return bool(verdict["flatten"] == "not_necessary" and verdict["difference"]["p_better"] > ALPHA)


def small_lead(verdict: Mapping[str, Any]) -> bool:
    """Tell whether flatten is ahead of gap beyond the noise, but by less than matters.

    Args:
        verdict: the ``verdict`` object of ``results.json``.
    """
    if verdict["flatten"] not in ("equivalent", "not_necessary") or blind_does(verdict):
        return False
    p_value = verdict["holm_p_value"]  # None where the noise is unknown
    return p_value is not None and p_value < ALPHA and verdict["difference"]["mean"] > 0
