"""Position in words: does it matter where things are, and does the trained Flatten use it?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headfit.report.text.numbers import enumerated, number, percent, point_range, points
from headfit.study.position.answer import PositionAnswer, small_lead

HARDLY = 0.02  # a drop that need not concern anybody, a fraction


def sentence(where: Mapping[str, Any], verdict: Mapping[str, Any], images: int) -> str:
    """Say whether position matters, and whether the trained flatten head uses it.

    Args:
        where: the ``where`` object of ``results.json``.
        verdict: the ``verdict`` object.
        images: number of images of the study; ``where`` may rest on a sample of them.
    """
    sample = where["images"]
    part = f" (Measured on {sample:,} of {images:,} images.)" if sample < images else ""
    needed = PositionAnswer.of(where, verdict).word == "needed"
    return f"{conclusion(where, verdict)} {_use(where['shuffle'], needed)}{part}"


def conclusion(where: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    """Say whether position matters: in balanced accuracy and by the verdict's own test.

    Args:
        where: the ``where`` object of ``results.json``.
        verdict: the ``verdict`` object.
    """
    answer = PositionAnswer.of(where, verdict)
    curve, lead = where["spectrum"]["curve"], answer.lead
    gap, flatten = (percent(curve[end]["balanced_accuracy"]["mean"]) for end in (0, -1))
    spread = f"nothing between gap ({gap} %) and flatten ({flatten} %) scores above gap"
    between = lead and f"spatial_prior with τ = {lead['tau']:g} {_above(lead['ahead_of_gap'])}"
    difference = verdict["difference"]
    above = f"flatten {_above(difference)}" if difference["low"] is not None else ""
    if answer.word == "needed":
        better = lead and lead["ahead_of_gap"]["mean"] > curve[-1]["ahead_of_gap"]["mean"]
        also = f" Between the two, {between}." if better else ""
        others = blind_heads(answer, verdict)
        return f"Position matters: {above}{others and f'; {others}'}.{also}"
    if answer.word == "not_needed":
        return f"Position is not needed: {above}, but {blind_heads(answer, verdict)}."
    if answer.word == "open":
        return f"Whether position is needed is open: {above}, but {blind_heads(answer, verdict)}."
    if answer.word == "little":
        return f"Position makes little difference: {above}."
    if answer.word == "helps":
        if small_lead(verdict):
            rest = f"; {above}"
        elif verdict["flatten"] == "undecided":
            rest = ", but for flatten this is undecided"
        else:
            rest = ", but flatten was not shown to be ahead"
        return f"Some position improves on gap: {between}{rest}."
    if answer.word == "undecided":
        return f"Whether position matters is undecided: {spread} beyond the noise."
    return f"No effect of position was found: {spread} beyond the noise."


def blind_heads(answer: PositionAnswer, verdict: Mapping[str, Any]) -> str:
    """Say how heads that ignore position compare with flatten, as a clause; it may be empty."""
    several, known = len(answer.blind) > 1, "cheaper" in verdict  # older runs do not say
    if not answer.blind and (known or answer.word == "needed"):
        return "no other cheaper head that ignores position was compared" if known else ""
    which = f"{enumerated(answer.blind)}, which {'ignore' if several else 'ignores'} position,"
    verbs = {
        "not_needed": "are as good as" if several else "is as good as",
        "open": "may be as good as",
        "needed": "score lower than" if several else "scores lower than",
    }
    return (
        f"{which if answer.blind else 'a head that ignores position'} {verbs[answer.word]} flatten"
    )


def variance_parts(data: Mapping[str, Any]) -> str:
    """Say what the variance of logits is made up of.

    Args:
        data: with ``position_share`` and ``covariance_share``.
    """
    position, covariance = data["position_share"], data["covariance_share"]
    return (
        f"{number(100 * position)} % is that of the part that depends on position, "
        f"{number(100 * (1 - position - covariance))} % that of the rest, "
        f"{number(100 * covariance)} % their covariance"
    )


def shift(curves: Mapping[str, Any]) -> str:
    """Say what the largest shift of the image does to each head.

    Args:
        curves: by head, the points of its curve, as in ``where.shift.curves`` of ``results.json``.
    """
    last = {name: points[-1] for name, points in curves.items()}
    parts = [
        f"{name}'s logits by {percent(point['change']['mean'], 0)} % and "
        f"{percent(point['flipped'], 0)} % of its predictions"
        for name, point in last.items()
    ]
    pixels = next(iter(last.values()))["pixels"]
    return f"Moving the image by {pixels} pixels changes {enumerated(parts)}."


def _use(shuffle: Mapping[str, Any], needed: bool) -> str:
    """Say what the trained head does; what the task needs is another question."""
    drop = shuffle["drop"]
    scores = f"from {percent(shuffle['plain'])} % to {percent(shuffle['shuffled'])} %"
    if drop["low"] > 0:
        other = "" if needed else " This says what the head uses, not what the task needs."
        return (
            f"The trained flatten head uses position: shuffling the positions of each map lowers "
            f"it {scores}.{other}"
        )
    if max(abs(drop["low"]), abs(drop["high"])) <= HARDLY:
        return (
            f"The trained flatten head hardly uses position: shuffling the positions of each map "
            f"changes it {scores}."
        )
    return (
        f"Whether the trained flatten head uses position is unclear: shuffling the positions of "
        f"each map costs {points(drop['mean'], signed=True)} ({point_range(drop)})."
    )


def _above(lead: Mapping[str, Any]) -> str:
    return f"scores {points(lead['mean'])} above gap ({point_range(lead, signed=False)})"
