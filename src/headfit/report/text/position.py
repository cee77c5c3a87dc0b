"""Position in words: does it matter where things are, and does the trained Flatten use it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headfit.report.text import metrics
from headfit.report.text.metrics import Metric, metric_of
from headfit.report.text.numbers import enumerated, number, percent
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
    use = _use(where["shuffle"], needed, metric_of(verdict))
    return f"{conclusion(where, verdict)} {use}{part}"


def conclusion(where: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    """Say whether position matters: in the metric and by the test of the verdict.

    Args:
        where: the ``where`` object of ``results.json``.
        verdict: the ``verdict`` object.
    """
    answer, metric = PositionAnswer.of(where, verdict), metric_of(verdict)
    curve, lead = where["spectrum"]["curve"], answer.lead
    between = (
        lead and f"spatial_prior with τ = {lead['tau']:g} {_above(lead['ahead_of_gap'], metric)}"
    )
    difference = verdict["difference"]
    above = f"flatten {_above(difference, metric)}" if difference["low"] is not None else ""
    spread = f"nothing between {ends(curve, verdict)} scores above gap"
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


def ends(curve: Sequence[Mapping[str, Any]], verdict: Mapping[str, Any]) -> str:
    """Give the scores of the two ends of the spectrum: ``gap (80.0 %) and flatten (90.0 %)``.

    Args:
        curve: of the ``spectrum`` object.
        verdict: the ``verdict`` object.
    """
    key, metric = metrics.primary(verdict), metric_of(verdict)
    gap, flatten = (metric.value(curve[end][key]["mean"]) for end in (0, -1))
    return f"gap ({gap}) and flatten ({flatten})"


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
    pixels = next(iter(last.values()))["pixels"]
    return f"Moving the image by {pixels} pixels changes {enumerated(_shifted(last))}."


def _shifted(last: Mapping[str, Mapping[str, Any]]) -> list[str]:
    change = {name: percent(point["change"]["mean"], 0) for name, point in last.items()}
    flipped = {name: point["flipped"] for name, point in last.items()}
    if None in flipped.values():  # of numbers nothing is decided
        return [
            f"{name}'s predictions by {size} % of their spread" for name, size in change.items()
        ]
    return [
        f"{name}'s logits by {size} % and {percent(flipped[name], 0)} % of its predictions"
        for name, size in change.items()
    ]


def _use(shuffle: Mapping[str, Any], needed: bool, metric: Metric) -> str:
    """Say what the trained head does; what the task needs is another question."""
    drop = shuffle["drop"]
    scores = f"from {metric.value(shuffle['plain'])} to {metric.value(shuffle['shuffled'])}"
    which = "it" if metric.is_share else f"its {metric.name}"
    if drop["low"] > 0:
        other = "" if needed else " This says what the head uses, not what the task needs."
        return (
            f"The trained flatten head uses position: shuffling the positions of each map lowers "
            f"{which} {scores}.{other}"
        )
    if max(abs(drop["low"]), abs(drop["high"])) <= HARDLY:
        return (
            f"The trained flatten head hardly uses position: shuffling the positions of each map "
            f"changes {which} {scores}."
        )
    return (
        f"Whether the trained flatten head uses position is unclear: shuffling the positions of "
        f"each map costs {metric.difference(drop['mean'], signed=True)} ({metric.range(drop)})."
    )


def _above(lead: Mapping[str, Any], metric: Metric) -> str:
    ends = metric.range(lead, signed=False)
    return f"scores {metric.difference(lead['mean'])} above gap ({ends})"
