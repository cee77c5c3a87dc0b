"""The verdict in words: is Flatten necessary on these images, and which head to use?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from headfit.report.text.numbers import (
    about,
    enumerated,
    number,
    p_value,
    point_range,
    points,
    probability,
)
from headfit.study.comparison.compare import Difference
from headfit.study.comparison.verdict import FLATTEN, GAP, Conclusion, Contrast, HeadScores, Verdict

SECONDARY_ALPHA = 0.01

_HEADLINES = {
    "necessary": "Flatten is necessary here.",
    "position_needed": "Flatten is not necessary here, but position is.",
    "not_necessary": "Flatten is not necessary here.",
    "equivalent": "Flatten is not necessary here.",
    "undecided": "These images do not decide whether Flatten is necessary.",
}


def headline(verdict: Mapping[str, Any]) -> str:
    """Answer the question in one sentence, without numbers.

    Args:
        verdict: the ``verdict`` object of ``results.json``.
    """
    if verdict["flatten"] == "undecided" and verdict["difference"] is None:
        return "Whether Flatten is necessary was not tested."
    return _HEADLINES[verdict["flatten"]]


def evidence(verdict: Mapping[str, Any]) -> str:
    """Give the numbers behind the answer; empty if flatten and gap were not compared.

    Args:
        verdict: the ``verdict`` object of ``results.json``.
    """
    difference = verdict["difference"]
    if not difference or difference["low"] is None:
        return ""
    text = (
        f"Flatten differs from gap by {points(difference['mean'], signed=True)} of balanced "
        f"accuracy ({point_range(difference)}), {p_value(verdict['holm_p_value'])} after Holm's "
        f"correction for comparing several heads."
    )
    if verdict["minimal_detectable"]:
        text += (
            f" With these images, a true difference of {points(verdict['minimal_detectable'])} "
            f"would be detected four times out of five."
        )
    loss = verdict.get("secondary", {}).get("log_loss")
    if loss and loss["p_value"] is not None and loss["p_value"] < SECONDARY_ALPHA:
        text += f" {_log_loss(loss)}"
    return text


def advice(conclusion: Conclusion) -> str:
    """Say which head to use and what to expect of it."""
    heads, chosen, verdict = conclusion.heads, conclusion.chosen, conclusion.verdict
    means = heads.scores.mean(axis=1)
    best = int(means.argmax())
    lead = float(means[best] - means[chosen])
    if len(heads.names) == 1:
        rank = "no other head was compared"
    elif lead <= 0:
        rank = "no other head scored higher"
    else:
        rank = f"{heads.names[best]} scores {points(lead)} higher, within one standard error"
    expected = dict(zip(("mean", "low", "high"), verdict.expected_score, strict=True))
    unknown = math.isnan(expected["mean"])
    expect = "" if unknown else f"expect {_balanced(expected)} with "
    return f"Use {heads.names[chosen]}: {expect}{heads.parameters[chosen]:,} parameters; {rank}."


def answer(conclusion: Conclusion) -> str:
    """Say whether Flatten is necessary, and what that rests on."""
    contrast = conclusion.contrast
    if contrast is None:
        missing = [name for name in (GAP, FLATTEN) if name not in conclusion.family.names]
        return (
            f"Whether Flatten is necessary was not tested: compare {enumerated(missing)} as well."
        )
    return _ANSWERS[contrast.word](conclusion.family, conclusion.place, contrast)


def in_words(conclusion: Conclusion) -> Verdict:
    """Give the verdict with its sentence: the answer, then the advice."""
    sentence = f"{answer(conclusion)} {advice(conclusion)}"
    return replace(conclusion.verdict, sentence=sentence)


def _necessary(heads: HeadScores, chosen: int, contrast: Contrast) -> str:
    name = heads.names[chosen]
    if name != FLATTEN:
        blind = "" if heads.position_aware[chosen] else ", which ignores position,"
        rest = (
            f"{name}{blind} scores within one standard error of the best: compare both before you "
            f"decide."
        )
    elif contrast.rivals:
        rest = "No cheaper head that keeps position does as well."
    else:
        rest = "No cheaper head that keeps position, such as spp, was compared."
    return f"Flatten is necessary here: it {_above_gap(contrast)}. {rest}"


def _position_needed(heads: HeadScores, chosen: int, contrast: Contrast) -> str:
    rival, flatten = contrast.equals[0], heads.names.index(FLATTEN)
    return (
        f"Flatten is not necessary here, but position is: flatten {_above_gap(contrast)}, and "
        f"{heads.names[rival]} scores within one standard error of flatten with "
        f"{heads.parameters[rival]:,} parameters instead of {heads.parameters[flatten]:,}."
    )


def _equivalent(heads: HeadScores, chosen: int, contrast: Contrast) -> str:
    start, choice = "Flatten is not necessary here:", _if_flatten_chosen(heads, chosen)
    if contrast.difference.se == 0:
        return (
            f"{start} on {heads.images:,} images it scores the same as gap in every fold.{choice}"
        )
    return (
        f"{start} it is equivalent to gap. They differ by {_difference(contrast.difference)} and "
        f"are at most {points(heads.rope)} apart with probability "
        f"{probability(contrast.difference.p_rope)}.{choice}"
    )


def _not_necessary(heads: HeadScores, chosen: int, contrast: Contrast) -> str:
    return (
        f"Flatten is not necessary here: it differs from gap by "
        f"{_difference(contrast.difference)}, and the probability that it is better by more than "
        f"{points(heads.rope)} is {probability(contrast.difference.p_better)}."
        f"{_if_flatten_chosen(heads, chosen)}"
    )


def _undecided(heads: HeadScores, chosen: int, contrast: Contrast) -> str:
    start = (
        f"These images do not decide whether Flatten is necessary: it differs from gap by "
        f"{_difference(contrast.difference)}{_tested(contrast)}."
    )
    detectable, needed = contrast.minimal_detectable, contrast.images_needed
    if detectable is None or needed is None:
        return f"{start} All folds agree, so the noise is unknown: use more folds or more images."
    if needed <= heads.images:
        return f"{start} That is too close to the limit of {points(heads.rope)} to call."
    return (
        f"{start} With {heads.images:,} images only a difference of {points(detectable)} or more "
        f"can be detected; about {about(needed, up=True)} images would decide."
        f"{secondary(contrast)}"
    )


_ANSWERS = {
    "necessary": _necessary,
    "position_needed": _position_needed,
    "equivalent": _equivalent,
    "not_necessary": _not_necessary,
    "undecided": _undecided,
}


def secondary(contrast: Contrast) -> str:
    """Say what log-loss hints at where balanced accuracy decides nothing.

    No p-value is quoted: where the choice of penalty is a close call, log-loss calls equal heads
    different at .05 in up to 14 % of data sets (benchmarks/calibration.py).
    """
    loss = contrast.secondary.get("log_loss")
    if loss is None or not loss.p_value < SECONDARY_ALPHA:
        return ""
    return f" {_log_loss({'mean': loss.mean, 'low': loss.low, 'high': loss.high})}"


def _log_loss(loss: Mapping[str, float]) -> str:
    word = "lower" if loss["mean"] < 0 else "higher"
    low, high = sorted((abs(loss["low"]), abs(loss["high"])))
    return (
        f"A hint, not a test: flatten's log-loss is {abs(loss['mean']):.3f} {word} "
        f"({low:.3f} to {high:.3f})."
    )


def _if_flatten_chosen(heads: HeadScores, chosen: int) -> str:
    """The choice asks what is best beyond noise, the answer what matters: they may differ."""
    if heads.names[chosen] != FLATTEN:
        return ""
    count = heads.parameters[heads.names.index(GAP)]
    return f" If {points(heads.rope)} does not matter to you, gap needs only {count:,} parameters."


def _balanced(expected: Mapping[str, float]) -> str:
    mean, low, high = (number(100 * expected[name]) for name in ("mean", "low", "high"))
    return f"{mean} % balanced accuracy ({low} to {high})"


def _difference(difference: Difference) -> str:
    """Write flatten − gap with its interval, where one is known."""
    mean = points(difference.mean, signed=True)
    if math.isnan(difference.low):
        return mean
    return f"{mean} ({point_range({'low': difference.low, 'high': difference.high})})"


def _above_gap(contrast: Contrast) -> str:
    difference = contrast.difference
    ends = point_range({"low": difference.low, "high": difference.high}, signed=False)
    return f"scores {points(difference.mean)} above gap ({ends}){_tested(contrast)}"


def _tested(contrast: Contrast) -> str:
    if math.isnan(contrast.holm_p):
        return ""
    corrected = " after Holm's correction" if contrast.contrasts > 1 else ""
    return f", {p_value(contrast.holm_p)}{corrected}"
