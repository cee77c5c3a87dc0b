"""Numbers to words: which head, and is Flatten necessary on these images?"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headfit.study.compare import (
    Difference,
    Interval,
    cheapest_within_one_se,
    check_rope,
    corrected_t,
    expected_score,
    holm,
    images_needed,
    minimal_detectable,
    paired_se,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer]

GAP, FLATTEN = "gap", "flatten"
ALPHA = 0.05
AHEAD = "is ahead of gap by"


@dataclass(frozen=True)
class Verdict:
    """The answer of a study.

    Attributes:
        flatten: "necessary", "position_needed", "not_necessary", "equivalent" or "undecided".
        sentence: the same in plain words.
        recommended: name of the head to use.
        difference: flatten − gap in balanced accuracy; None if one of them was not compared.
        minimal_detectable: least difference these images can show, a fraction; None if the
            noise is unknown.
        images_needed: about how many images bring it down to the region of equivalence.
        expected_score: mean, low, high of balanced accuracy, corrected for the choice of head.
    """

    flatten: str
    sentence: str
    recommended: str
    difference: Difference | None
    minimal_detectable: float | None
    images_needed: int | None
    expected_score: Interval

    def to_dict(self) -> dict[str, Any]:
        """The ``verdict`` object of results.json: plain types, None for what is unknown."""
        names = ("mean", "low", "high", "p_value", "p_rope", "p_better")
        gap = self.difference
        return {
            "flatten": self.flatten,
            "sentence": self.sentence,
            "recommended": self.recommended,
            "difference": None if gap is None else {n: _known(getattr(gap, n)) for n in names},
            "minimal_detectable": self.minimal_detectable,
            "images_needed": self.images_needed,
            "expected_score": dict(zip(names[:3], map(_known, self.expected_score), strict=True)),
        }

    def __str__(self) -> str:
        return self.sentence

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.sentence)}</p>"


@dataclass(frozen=True)
class Contrast:
    """Flatten against gap, and what the answer needs beside it; see ``Verdict`` for the rest.

    Attributes:
        word: the answer.
        holm_p: the p-value of the difference after Holm's correction.
        contrasts: how many heads were compared with gap.
        rivals: position-aware heads with fewer parameters than flatten, the cheapest first.
        equals: those of them within one standard error of flatten (or above it).
    """

    word: str
    difference: Difference
    holm_p: float
    contrasts: int
    minimal_detectable: float | None
    images_needed: int | None
    rivals: list[int]
    equals: list[int]


@dataclass(frozen=True)
class Table:
    """The heads compared, in one order throughout.

    Attributes:
        names: unique names of the heads.
        scores: float64 (heads, repeats·folds), balanced accuracy of each fold.
        parameters: int (heads,), parameters of each head.
        position_aware: whether a head can tell where in the map a feature lies.
        folds: k of the cross-validation.
        rope: half-width of the region of practical equivalence, a fraction.
        images: N.
    """

    names: Sequence[str]
    scores: Floats
    parameters: Ints
    position_aware: Sequence[bool]
    folds: int
    rope: float
    images: int


def conclude(
    names: Sequence[str],
    scores: Floats,
    parameters: Sequence[int],
    position_aware: Sequence[bool],
    correct: Floats,
    labels: Ints,
    *,
    folds: int,
    rope: float = 0.01,
    seed: int = 0,
    groups: Ints | None = None,
) -> Verdict:
    """From the scores of all heads on identical folds to the verdict.

    Args:
        names: unique head names; the question about Flatten needs "gap" and "flatten".
        scores: float64 (heads, repeats·folds), balanced accuracy of each fold.
        parameters: parameter count of each head.
        position_aware: for each head, whether it can tell where a feature lies.
        correct: float64 (heads, n), share of the repeats that got an image right out of fold.
        labels: int (n,).
        folds: k of the cross-validation.
        rope: half-width of the region of practical equivalence; 0.01 is one point.
        seed: of the bootstrap for the expected score.
        groups: int (n,), images that belong together; drawn as wholes in the bootstrap.

    Raises:
        UsageError: ``rope`` is not between 0 and 1.
        ValueError: lengths that do not match, repeated names or scores that are not finite.
    """
    check_rope(rope)
    counts = {len(names), len(scores), len(parameters), len(position_aware), len(correct)}
    if counts != {len(set(names))} or correct.shape[1:] != labels.shape:
        raise ValueError("names (unique), scores, parameters, position_aware, correct must match.")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite: leave out heads whose fit has failed.")
    sizes = np.asarray(parameters, dtype=np.int64)
    table = Table(names, scores, sizes, position_aware, folds, rope, len(labels))
    chosen = cheapest_within_one_se(scores, sizes, folds)
    margins = paired_se(scores, folds)
    expected = expected_score(correct, labels, sizes, seed=seed, groups=groups, margins=margins)
    contrast = contrast_with_gap(table)
    return Verdict(
        flatten=contrast.word if contrast else "undecided",
        sentence=write_sentence(table, chosen, expected, contrast),
        recommended=names[chosen],
        difference=contrast.difference if contrast else None,
        minimal_detectable=contrast.minimal_detectable if contrast else None,
        images_needed=contrast.images_needed if contrast else None,
        expected_score=expected,
    )


def contrast_with_gap(table: Table) -> Contrast | None:
    """Test flatten − gap with Holm's correction over all heads; None if either is absent."""
    if GAP not in table.names or FLATTEN not in table.names:
        return None
    gap, others = table.scores[table.names.index(GAP)], [n for n in table.names if n != GAP]
    ahead = {name: table.scores[table.names.index(name)] - gap for name in others}
    tests = {name: corrected_t(ahead[name], table.folds, table.rope) for name in others}
    adjusted = holm(np.array([tests[name].p_value for name in others]))
    holm_p, difference = float(adjusted[others.index(FLATTEN)]), tests[FLATTEN]
    rivals, equals = _rivals(table)
    # A standard error of 0 or nan is no estimate: nothing can be planned with it.
    mde = minimal_detectable(difference.se, difference.df) if difference.se > 0 else None
    needed = None if mde is None else images_needed(table.images, mde, table.rope)
    word = decide(difference, holm_p, rope=table.rope, positional_as_good=bool(equals))
    return Contrast(word, difference, holm_p, len(others), mde, needed, rivals, equals)


def decide(difference: Difference, holm_p: float, *, rope: float, positional_as_good: bool) -> str:
    """The answer for δ = flatten − gap, strongest statement first.

    Equivalence comes before "not necessary", which it implies. nan passes no threshold.

    Args:
        difference: flatten − gap.
        holm_p: its p-value after Holm's correction.
        rope: half-width of the region of practical equivalence, a fraction.
        positional_as_good: whether a cheaper position-aware head does as well as flatten.
    """
    if holm_p < ALPHA and difference.mean >= rope:
        return "position_needed" if positional_as_good else "necessary"
    if difference.p_rope >= 1 - ALPHA:
        return "equivalent"
    if difference.p_better <= ALPHA:
        return "not_necessary"
    return "undecided"


def write_sentence(table: Table, chosen: int, expected: Interval, contrast: Contrast | None) -> str:
    """Two or three plain sentences: what to use, then what is known about Flatten."""
    advice = _advice(table, chosen, expected)
    if contrast is None:
        missing = " and ".join(name for name in (GAP, FLATTEN) if name not in table.names)
        return f"{advice} Whether Flatten is necessary was not asked: compare {missing} as well."
    return f"{advice} {_ANSWERS[contrast.word](table, chosen, contrast)}"


def _rivals(table: Table) -> tuple[list[int], list[int]]:
    """See ``Contrast``: the heads that could take flatten's place, and those that do."""
    flatten, sizes = table.names.index(FLATTEN), table.parameters
    behind = table.scores[flatten].mean() - table.scores.mean(axis=1)
    errors = paired_se(table.scores, table.folds)[flatten]
    order = [int(h) for h in np.argsort(sizes, kind="stable")]
    rivals = [h for h in order if table.position_aware[h] and sizes[h] < sizes[flatten]]
    return rivals, [h for h in rivals if behind[h] <= errors[h]]


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


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
