"""The verdict in words: is Flatten necessary on these images, and which head to use?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from headfit.report.text import metrics
from headfit.report.text.metrics import METRICS, Metric, metric_of
from headfit.report.text.numbers import about, enumerated, p_value, probability
from headfit.report.text.targets import NOUNS
from headfit.study.comparison.compare import Difference, holm
from headfit.study.comparison.contrast import ALPHA, FLATTEN, GAP, Contrast, HeadScores
from headfit.study.comparison.verdict import LIMIT, Conclusion, Verdict

SECONDARY_ALPHA = 0.01
NAMED = 4  # backbones

_HEADLINES = {
    "necessary": "Flatten is necessary here.",
    "position_needed": "Flatten is not necessary here, but position is.",
    "ahead": "Flatten is ahead of gap here; whether it is necessary is open.",
    "not_necessary": "Flatten is not necessary here.",
    "equivalent": "Flatten is not necessary here.",
    "undecided": "These images do not decide whether Flatten is necessary.",
}


def headline(verdict: Mapping[str, Any]) -> str:
    """Answer the question in one sentence, without numbers.

    Args:
        verdict: the ``verdict`` object of ``results.json``.
    """
    if gain := verdict.get("finetune"):
        return str(gain["headline"])
    if verdict["flatten"] == "undecided" and verdict["difference"] is None:
        return "Whether Flatten is necessary was not tested."
    return _HEADLINES[verdict["flatten"]]


def evidence(verdict: Mapping[str, Any]) -> str:
    """Give the numbers behind the answer; empty if flatten and gap were not compared.

    Args:
        verdict: the ``verdict`` object of ``results.json``.
    """
    if gain := verdict.get("finetune"):
        return str(gain["sentence"])
    difference = verdict["difference"]
    if not difference or difference["low"] is None:
        return ""
    metric = metric_of(verdict)
    text = (
        f"Flatten differs from gap by {metric.difference_of(difference['mean'], signed=True)} "
        f"({metric.range(difference)}), {p_value(difference['p_value'])}."
    )
    if verdict["holm_p_value"] > difference["p_value"]:
        text += f" After Holm's correction that is {p_value(verdict['holm_p_value'])}."
    if verdict["minimal_detectable"]:
        text += (
            f" Four of five repetitions with as many images would show a true difference of "
            f"{metric.difference(verdict['minimal_detectable'])}."
        )
    if limit := verdict.get("limited_by"):
        text += f" {limits(limit, metrics.primary(verdict))}"
    key = metrics.loss_key(metrics.primary(verdict))
    loss = verdict.get("secondary", {}).get(key)
    if loss and loss["p_value"] is not None and loss["p_value"] < SECONDARY_ALPHA:
        text += f" {_hint(METRICS[key], loss)}"
    return text


def after_holm(backbones: Sequence[Mapping[str, Any]]) -> str:
    """Say on which of several backbones flatten differs from gap after Holm's correction.

    Args:
        backbones: of ``results.json``.

    Returns:
        A sentence or two; empty if the question was not asked on several.
    """
    verdicts = {
        each["name"]: each["verdict"]
        for each in backbones
        if each["verdict"] and each["verdict"]["difference"]
    }
    if len(verdicts) < 2:
        return ""
    metric = metric_of(next(iter(verdicts.values())))
    asked = {name: verdict["difference"] for name, verdict in verdicts.items()}
    # float: None is nan, which passes no threshold
    alone = np.array([each["p_value"] for each in asked.values()], float)
    together = holm(alone)
    order = [list(asked)[place] for place in np.argsort(alone)]
    holds = dict(zip(asked, together < ALPHA, strict=True))
    lost = dict(zip(asked, (alone < ALPHA) & ~(together < ALPHA), strict=True))
    differ = [
        f"{n} ({metric.difference(asked[n]['mean'], signed=True)})" for n in order if holds[n]
    ]
    count = (
        f"{len(differ)} of {len(asked)}: {_first(differ)}" if differ else f"none of {len(asked)}"
    )
    text = f"After Holm's correction flatten differs from gap on {count}."
    if only := [name for name in order if lost[name]]:
        text += f" Without it {'also ' if differ else ''}on {_first(only)}."
    return text


def _first(names: list[str]) -> str:
    more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
    return enumerated([*names[:NAMED], *more])


def advice(conclusion: Conclusion) -> str:
    """Say which head to use and what to expect of it."""
    heads, chosen, verdict = conclusion.heads, conclusion.chosen, conclusion.verdict
    means, metric = heads.scores.mean(axis=1), METRICS[heads.metric]
    best = int(means.argmax())
    lead = float(means[best] - means[chosen])
    if len(heads.names) == 1:
        rank = "no other head was compared"
    elif lead <= 0:
        rank = "no other head scored higher"
    else:
        apart = metric.difference(lead)
        rank = f"{heads.names[best]} scores {apart} higher, within one standard error"
    expected = dict(zip(("mean", "low", "high"), verdict.expected_score, strict=True))
    family, gap = conclusion.family, None
    if GAP in family.names and family.names[conclusion.place] != GAP:
        gap = float(family.scores[family.names.index(GAP)].mean())
    unknown = math.isnan(expected["mean"])
    separator = " " if metric.is_share else ", "
    expect = "" if unknown else f"{metric.expected(expected, gap)}{separator}with "
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
    parts = [answer(conclusion), advice(conclusion)]
    if conclusion.verdict.limited_by and conclusion.verdict.flatten in ("undecided", "ahead"):
        limit = dict(zip(LIMIT, conclusion.verdict.limited_by, strict=True))
        parts.insert(1, limits(limit, conclusion.verdict.metric))
    sentence = " ".join(parts)
    return replace(conclusion.verdict, sentence=sentence)


def _necessary(heads: HeadScores, chosen: int, contrast: Contrast) -> str:
    sure = probability(contrast.difference.p_better)
    worse = enumerated([heads.names[h] for h in contrast.worse])
    rest = (
        f"Cheaper heads score lower: {worse}."
        if worse
        else "No other cheaper head, such as spp, was compared."
    )
    return (
        f"Flatten is necessary here: it {_above_gap(heads, contrast)}. The probability that it "
        f"leads by more than {_margin(heads)} is {sure}. {rest}"
    )


def _position_needed(heads: HeadScores, chosen: int, contrast: Contrast) -> str:
    name = heads.names[contrast.aware[0]]
    return (
        f"Flatten is not necessary here, but position is: flatten {_above_gap(heads, contrast)}. "
        f"{name} is ahead of gap too, and {_as_good(heads, contrast.aware[0])}."
    )


def _ahead(heads: HeadScores, chosen: int, contrast: Contrast) -> str:
    open_heads = enumerated([heads.names[h] for h in contrast.open])
    reasons = []
    if contrast.difference.p_better < 1 - ALPHA:
        sure = probability(contrast.difference.p_better)
        reasons.append(
            f"the probability that it leads by more than {_margin(heads)} is only {sure}"
        )
    if open_heads:
        reasons.append(f"cheaper heads may do as well: {open_heads}")
    return (
        f"Flatten is ahead of gap here: it {_above_gap(heads, contrast)}. Whether it is necessary "
        f"is open: {' and '.join(reasons)}."
    )


def _equivalent(heads: HeadScores, chosen: int, contrast: Contrast) -> str:
    start, choice = "Flatten is not necessary here:", _if_flatten_chosen(heads, chosen)
    return (
        f"{start} it is equivalent to gap. They differ by {_difference(heads, contrast)} and "
        f"are at most {_margin(heads)} apart with probability "
        f"{probability(contrast.difference.p_rope)}.{choice}"
    )


def _not_necessary(heads: HeadScores, chosen: int, contrast: Contrast) -> str:
    difference = contrast.difference
    if difference.p_better > ALPHA:
        blind = contrast.blind[0]
        return (
            f"Flatten is not necessary here: it {_above_gap(heads, contrast)}, but so is a head "
            f"that ignores position. {heads.names[blind]} {_as_good(heads, blind)}."
        )
    return (
        f"Flatten is not necessary here: it differs from gap by {_difference(heads, contrast)}, "
        f"and the probability that it is better by more than {_margin(heads)} is "
        f"{probability(difference.p_better)}.{_if_flatten_chosen(heads, chosen)}"
    )


def _undecided(heads: HeadScores, chosen: int, contrast: Contrast) -> str:
    start = (
        f"These images do not decide whether Flatten is necessary: it differs from gap by "
        f"{_difference(heads, contrast)}{_tested(contrast)}."
    )
    detectable = contrast.minimal_detectable
    if detectable is None or contrast.images_needed is None:
        return f"{start} All folds agree, so the noise is unknown: use more folds or more images."
    shown = (
        f"With {heads.images:,} images, four of five repetitions would show a difference of "
        f"{METRICS[heads.metric].difference(detectable)}"
    )
    hint = secondary(contrast, heads.metric)
    return f"{start} {shown}; {needed(contrast.images_needed, heads.images)}.{hint}"


def needed(count: int, images: int) -> str:
    """Say how many images would decide.

    Args:
        count: ``images_needed`` of the verdict.
        images: those there are.
    """
    enough = about(max(count, images), up=True)
    return f"about {enough} images would decide with a probability of 80 %"


def limits(limited_by: Mapping[str, Any], metric: str = metrics.BALANCED_ACCURACY) -> str:
    """Say which class or label limits what can be said.

    Args:
        limited_by: of the ``verdict`` object of ``results.json``.
        metric: the primary one.
    """
    noun, _ = NOUNS[metrics.kind_for(metric)]
    return (
        f"The {noun} {limited_by['class']!r} limits what can be said, with "
        f"{limited_by['images']:,} independent images: add images of it first."
    )


_ANSWERS = {
    "necessary": _necessary,
    "position_needed": _position_needed,
    "ahead": _ahead,
    "equivalent": _equivalent,
    "not_necessary": _not_necessary,
    "undecided": _undecided,
}


def secondary(contrast: Contrast, metric: str = metrics.BALANCED_ACCURACY) -> str:
    """Say what the loss hints at where the primary metric decides nothing.

    No p-value is quoted: where the choice of penalty is a close call, log-loss calls equal heads
    different at .05 in up to 14 % of data sets (benchmarks/calibration.py).
    """
    key = metrics.loss_key(metric)
    loss = contrast.secondary.get(key)
    if loss is None or not loss.p_value < SECONDARY_ALPHA:
        return ""
    ends = {"mean": loss.mean, "low": loss.low, "high": loss.high}
    return f" {_hint(METRICS[key], ends)}"


def _hint(metric: Metric, loss: Mapping[str, float]) -> str:
    word = "lower" if loss["mean"] < 0 else "higher"
    low, high = sorted((abs(loss["low"]), abs(loss["high"])))
    ends = metric.ends({"low": low, "high": high})
    return (
        f"A hint, not a test: flatten's {metric.name} is {metric.value(abs(loss['mean']))} {word} "
        f"({ends})."
    )


def _if_flatten_chosen(heads: HeadScores, chosen: int) -> str:
    """The choice asks what is best beyond noise, the answer what matters: they may differ."""
    if heads.names[chosen] != FLATTEN:
        return ""
    count = heads.parameters[heads.names.index(GAP)]
    return f" If {_margin(heads)} does not matter to you, gap needs only {count:,} parameters."


def _margin(heads: HeadScores) -> str:
    return METRICS[heads.metric].margin(heads.rope)


def _difference(heads: HeadScores, contrast: Contrast) -> str:
    """Write flatten − gap with its interval, where one is known."""
    metric, difference = METRICS[heads.metric], contrast.difference
    mean = metric.difference(difference.mean, signed=True)
    if math.isnan(difference.low):
        return mean
    return f"{mean} ({metric.range(_ends(difference))})"


def _above_gap(heads: HeadScores, contrast: Contrast) -> str:
    metric, difference = METRICS[heads.metric], contrast.difference
    lead, ends = metric.difference(difference.mean), metric.range(_ends(difference), signed=False)
    return f"scores {lead} above gap ({ends}){_tested(contrast)}"


def _ends(difference: Difference) -> dict[str, float]:
    return {"low": difference.low, "high": difference.high}


def _tested(contrast: Contrast) -> str:
    if math.isnan(contrast.p_value):
        return ""
    corrected = f" (Holm, {contrast.backbones} backbones)" if contrast.backbones > 1 else ""
    return f", {p_value(contrast.p_value)}{corrected}"


def _as_good(heads: HeadScores, head: int) -> str:
    """Say that a head is as good as flatten, and what it saves."""
    flatten = heads.names.index(FLATTEN)
    worse = probability(heads.difference(flatten, head).p_better)
    return (
        f"is as good as flatten (worse by more than {_margin(heads)} with probability {worse}) "
        f"with {heads.parameters[head]:,} parameters instead of {heads.parameters[flatten]:,}"
    )
