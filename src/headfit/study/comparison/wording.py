"""A verdict in words: what to use, and what is known about Flatten."""

from __future__ import annotations

import math

from headfit.study.comparison.compare import Interval
from headfit.study.comparison.contrast import FLATTEN, GAP, Contrast, Table

AHEAD = "is ahead of gap by"
SECONDARY_ALPHA = 0.01


def write_sentence(
    table: Table,
    chosen: int,
    expected: Interval,
    contrast: Contrast | None,
    family: Table,
    place: int,
) -> str:
    """Two to four plain sentences: what to use, then what is known about Flatten.

    Args:
        table: all heads.
        chosen: the recommended one.
        expected: its score.
        contrast: flatten against gap, within ``family``.
        family: the heads on the recommended one's backbone.
        place: the recommended one among them.
    """
    advice = _advice(table, chosen, expected)
    if contrast is None:
        missing = " and ".join(name for name in (GAP, FLATTEN) if name not in family.names)
        return f"{advice} Whether Flatten is necessary was not asked: compare {missing} as well."
    answer = _ANSWERS[contrast.word](family, place, contrast)
    return f"{advice} {answer}{_secondary(contrast)}"


def _secondary(contrast: Contrast) -> str:
    """What log-loss says, if it can say anything.

    No p-value is quoted: where the choice of penalty is a close call, log-loss calls equal heads
    different at .05 in up to 14 % of data sets (benchmarks/calibration.py).
    """
    found = contrast.secondary.get("log_loss")
    if found is None or not found.p_value < SECONDARY_ALPHA:
        return ""
    word = "lower" if found.mean < 0 else "higher"
    low, high = sorted((abs(found.low), abs(found.high)))
    return (
        f" Secondary evidence, not calibrated: flatten's log-loss is {abs(found.mean):.3f} {word} "
        f"({low:.3f} to {high:.3f})."
    )


def _advice(table: Table, chosen: int, expected: Interval) -> str:
    means = table.scores.mean(axis=1)
    best = int(means.argmax())
    lead = float(means[best] - means[chosen])
    if len(table.names) == 1:
        rank = "no other head was compared"
    elif lead <= 0:
        rank = "no other head scored higher"
    else:
        rank = f"{table.names[best]} is ahead by {_points(lead)}, within one standard error"
    mean, low, high = (100 * value for value in expected)
    score = f"expect {mean:.1f} % balanced accuracy ({low:.1f} to {high:.1f}) with "
    score = "" if math.isnan(mean) else score
    return f"Use {table.names[chosen]}: {score}{table.parameters[chosen]:,} parameters; {rank}."


def _necessary(table: Table, chosen: int, contrast: Contrast) -> str:
    name = table.names[chosen]
    if name != FLATTEN:
        blind = "" if table.position_aware[chosen] else ", which ignores position,"
        rest = f"Yet {name}{blind} is within one standard error of the best: look at both."
    elif contrast.rivals:
        rest = "No cheaper head that keeps position did as well."
    else:
        rest = "No cheaper head that keeps position, such as spp, was compared."
    return f"Flatten is necessary on these images: it {_versus_gap(contrast, AHEAD)}. {rest}"


def _position_needed(table: Table, chosen: int, contrast: Contrast) -> str:
    rival, flatten = contrast.equals[0], table.names.index(FLATTEN)
    return (
        f"Position is needed on these images, Flatten is not: it {_versus_gap(contrast, AHEAD)}, "
        f"but {table.names[rival]} scores within one standard error of flatten with "
        f"{table.parameters[rival]:,} parameters instead of {table.parameters[flatten]:,}."
    )


def _equivalent(table: Table, chosen: int, contrast: Contrast) -> str:
    found, choice = contrast.difference, _if_flatten_chosen(table, chosen)
    start = "Flatten is not necessary on these images, it is equivalent to gap"
    if found.se == 0:
        shown = f" as far as {table.images:,} images can show, with the same score in every fold"
        return f"{start}{shown}.{choice}"
    return (
        f"{start}: it {_versus_gap(contrast)}; with probability {_percent(found.p_rope)} "
        f"they are at most {_points(table.rope)} apart.{choice}"
    )


def _not_necessary(table: Table, chosen: int, contrast: Contrast) -> str:
    return (
        f"Flatten is not necessary on these images: it {_versus_gap(contrast)}; the probability "
        f"that it is better by more than {_points(table.rope)} is "
        f"{_percent(contrast.difference.p_better)}.{_if_flatten_chosen(table, chosen)}"
    )


def _undecided(table: Table, chosen: int, contrast: Contrast) -> str:
    start = f"Whether Flatten is necessary is undecided: it {_versus_gap(contrast)}."
    mde, needed = contrast.minimal_detectable, contrast.images_needed
    if mde is None or needed is None:
        return f"{start} All folds agree, so the noise is unknown: use more folds or images."
    if needed <= table.images:
        return f"{start} That is too near the limit of {_points(table.rope)} to call."
    digits = 10 ** max(0, len(str(needed)) - 2)  # two digits are all that a plan is good for
    return (
        f"{start} With these {table.images:,} images only a difference of {_points(mde)} or more "
        f"could be seen; about {-(-needed // digits) * digits:,} images would decide."
    )


_ANSWERS = {
    "necessary": _necessary,
    "position_needed": _position_needed,
    "equivalent": _equivalent,
    "not_necessary": _not_necessary,
    "undecided": _undecided,
}


def _if_flatten_chosen(table: Table, chosen: int) -> str:
    """The choice asks what is best beyond noise, the answer what matters: they may differ."""
    if table.names[chosen] != FLATTEN:
        return ""
    count, limit = table.parameters[table.names.index(GAP)], _points(table.rope)
    return f" If a difference of {limit} does not matter to you, gap needs {count:,} parameters."


def _versus_gap(contrast: Contrast, verb: str = "differs from gap by") -> str:
    found = contrast.difference
    mean = f"{verb} {_points(found.mean, signed=True)}"
    if math.isnan(found.p_value):
        return mean
    p = "p < 0.001" if contrast.holm_p < 0.001 else f"p = {contrast.holm_p:.2g}"
    corrected = " after Holm's correction" if contrast.contrasts > 1 else ""
    return f"{mean} ({_number(found.low)} to {_number(found.high)}), {p}{corrected}"


def _number(fraction: float, signed: bool = True) -> str:
    value = round(100 * fraction, 1) + 0.0  # + 0.0 turns −0.0 into 0.0
    return f"{value:+.1f}" if signed and value else f"{value:.1f}"


def _points(fraction: float, signed: bool = False) -> str:
    number = _number(fraction, signed)
    return f"{number} point" if number.lstrip("+-") == "1.0" else f"{number} points"


def _percent(probability: float) -> str:
    """A probability in words that never reads as certain."""
    if probability < 0.001:
        return "below 0.1 %"
    return "above 99.9 %" if probability > 0.999 else f"{100 * probability:.1f} %"
