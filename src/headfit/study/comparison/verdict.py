"""Which head to use, and whether Flatten is necessary: flatten against gap, on one backbone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from headfit.study.comparison.compare import (
    Difference,
    Interval,
    by_name,
    cheapest_within_one_se,
    check_rope,
    corrected_t,
    expected_score,
    holm,
    images_needed,
    minimal_detectable,
    or_none,
    paired_se,
)
from headfit.util import html

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer]

GAP, FLATTEN = "gap", "flatten"
ALPHA = 0.05


@dataclass(frozen=True)
class Contrast:
    """Flatten against gap; see ``Verdict`` for attributes that are not listed here.

    Attributes:
        word: the answer, ``"necessary"`` and so on.
        difference: flatten − gap in balanced accuracy.
        holm_p: p-value of the difference after Holm's correction.
        contrasts: number of heads that were compared with gap.
        rivals: position-aware heads with fewer parameters than flatten, the cheapest first.
        equals: those rivals that score within one standard error of flatten, or above it.
        secondary: flatten − gap in other metrics, where lower is better; no answer rests on them.
    """

    word: str
    difference: Difference
    holm_p: float
    contrasts: int
    minimal_detectable: float | None
    images_needed: int | None
    rivals: list[int]
    equals: list[int]
    secondary: dict[str, Difference]


@dataclass(frozen=True)
class HeadScores:
    """Scores of the heads compared, in one order throughout.

    Attributes:
        names: unique names of the heads; "backbone/head" where there are several backbones.
        scores: float64 (heads, repeats·folds), balanced accuracy of each fold.
        parameters: int (heads,), parameters of each head.
        position_aware: for each head, whether it can tell where in the map a feature lies.
        folds: k of the cross-validation.
        images: N.
        rope: half-width of the region of practical equivalence, a fraction; 0.01 is one point.
        secondary: other metrics, where lower is better: name to float64 (heads, repeats·folds).
        families: the backbone of each head; None if there is only one.
        costs: int (heads,), what makes a head cheap; ``parameters`` if None.
    """

    names: Sequence[str]
    scores: Floats
    parameters: Ints
    position_aware: Sequence[bool]
    folds: int
    images: int
    rope: float = 0.01
    secondary: Mapping[str, Floats] = field(default_factory=dict)
    families: Sequence[str] | None = None
    costs: Ints | None = None

    def beside(self, head: int) -> tuple[HeadScores, int]:
        """Give the heads on the backbone of one of them, and its place among them."""
        if self.families is None:
            return self, head
        home = self.families[head]
        rows = [row for row, family in enumerate(self.families) if family == home]
        part = replace(
            self,
            names=[self.names[row].removeprefix(f"{home}/") for row in rows],
            scores=self.scores[rows],
            parameters=self.parameters[rows],
            position_aware=[self.position_aware[row] for row in rows],
            secondary={name: values[rows] for name, values in self.secondary.items()},
            families=None,
            costs=None if self.costs is None else self.costs[rows],
        )
        return part, rows.index(head)


def contrast_with_gap(heads: HeadScores) -> Contrast | None:
    """Test flatten − gap with Holm's correction over all heads; None if either is absent."""
    if GAP not in heads.names or FLATTEN not in heads.names:
        return None
    gap, others = heads.scores[heads.names.index(GAP)], [n for n in heads.names if n != GAP]
    ahead = {name: heads.scores[heads.names.index(name)] - gap for name in others}
    tests = {name: corrected_t(ahead[name], heads.folds, heads.rope) for name in others}
    adjusted = holm(np.array([tests[name].p_value for name in others]))
    holm_p, difference = float(adjusted[others.index(FLATTEN)]), tests[FLATTEN]
    rivals, equals = _rivals(heads)
    # A standard error of 0 or nan is no estimate: nothing can be planned with it.
    mde = minimal_detectable(difference.se, difference.df) if difference.se > 0 else None
    needed = None if mde is None else images_needed(heads.images, mde, heads.rope)
    word = decide(difference, holm_p, rope=heads.rope, positional_as_good=bool(equals))
    rows = [heads.names.index(name) for name in (FLATTEN, GAP)]
    secondary = {
        name: corrected_t(values[rows[0]] - values[rows[1]], heads.folds, heads.rope)
        for name, values in heads.secondary.items()
    }
    return Contrast(word, difference, holm_p, len(others), mde, needed, rivals, equals, secondary)


def decide(difference: Difference, holm_p: float, *, rope: float, positional_as_good: bool) -> str:
    """Decide on δ = flatten − gap, the strongest statement first.

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


def _rivals(heads: HeadScores) -> tuple[list[int], list[int]]:
    """Find the rivals and equals of flatten; see ``Contrast``."""
    flatten, sizes = heads.names.index(FLATTEN), heads.parameters
    behind = heads.scores[flatten].mean() - heads.scores.mean(axis=1)
    errors = paired_se(heads.scores, heads.folds)[flatten]
    order = [int(h) for h in np.argsort(sizes, kind="stable")]
    rivals = [h for h in order if heads.position_aware[h] and sizes[h] < sizes[flatten]]
    return rivals, [h for h in rivals if behind[h] <= errors[h]]


@dataclass(frozen=True, repr=False)
class Verdict:
    """The answer of a study.

    Attributes:
        flatten: "necessary", "position_needed", "not_necessary", "equivalent" or "undecided".
        sentence: the answer and the advice in plain words.
        recommended: name of the head to use.
        difference: flatten − gap in balanced accuracy; None if one of them was not compared.
        minimal_detectable: smallest difference that these images can show, a fraction; None if
            the noise is unknown.
        images_needed: about how many images bring it down to the region of equivalence.
        expected_score: mean, low, high of balanced accuracy, corrected for the choice of head.
        secondary: flatten − gap in log-loss and Brier score, where lower is better; they are more
            sensitive than accuracy, but their p-values are not calibrated, and no answer rests on
            them.
        holm_p: p-value of ``difference`` after Holm's correction over all heads.
    """

    flatten: str
    sentence: str
    recommended: str
    difference: Difference | None
    minimal_detectable: float | None
    images_needed: int | None
    expected_score: Interval
    secondary: dict[str, Difference] = field(default_factory=dict)
    holm_p: float = math.nan

    def to_dict(self) -> dict[str, Any]:
        """Give the ``verdict`` object of ``results.json``: plain types, None where unknown."""
        names = ("mean", "low", "high", "p_value", "p_rope", "p_better")
        gap, tested = self.difference, (*names[:3], "p_value")
        return {
            "flatten": self.flatten,
            "sentence": self.sentence,
            "recommended": self.recommended,
            "difference": None if gap is None else _plain(gap, names),
            "holm_p_value": or_none(self.holm_p),
            "secondary": {name: _plain(d, tested) for name, d in self.secondary.items()},
            "minimal_detectable": self.minimal_detectable,
            "images_needed": self.images_needed,
            "expected_score": by_name(self.expected_score),
        }

    def __repr__(self) -> str:
        return f"<Verdict: use {self.recommended}; Flatten: {self.flatten.replace('_', ' ')}>"

    def __str__(self) -> str:
        return self.sentence

    def _repr_html_(self) -> str:
        return html.paragraph(self.sentence)


@dataclass(frozen=True)
class Conclusion:
    """A verdict without words, and the numbers that its words need.

    Attributes:
        verdict: the answer; its texts are still empty.
        heads: all heads compared.
        chosen: the recommended one, an index into ``heads``.
        family: the heads on the recommended one's backbone.
        place: the recommended one among them.
        contrast: flatten against gap within ``family``; None if one of them is missing.
    """

    verdict: Verdict
    heads: HeadScores
    chosen: int
    family: HeadScores
    place: int
    contrast: Contrast | None


def conclude(
    heads: HeadScores,
    correct: Floats,
    labels: Ints,
    *,
    seed: int = 0,
    groups: Ints | None = None,
    weights: Floats | None = None,
) -> Conclusion:
    """Compare heads by their scores on identical folds.

    Args:
        heads: their scores; the question about Flatten needs "gap" and "flatten". With several
            backbones it is answered for that of the recommended head.
        correct: float64 (heads, n), share of the repeats that got an image right out of fold.
        labels: int (n,).
        seed: of the bootstrap for the expected score.
        groups: int (n,), equal for images that belong together; the bootstrap draws whole groups.
        weights: float64 (n,), how much each image counts; all alike if None.

    Raises:
        UsageError: ``rope`` is not between 0 and 1.
        ValueError: lengths do not match, names repeat, or scores are not finite.
    """
    check_rope(heads.rope)
    names, scores = heads.names, heads.scores
    counts = {len(names), len(scores), len(heads.parameters), len(heads.position_aware)}
    if counts != {len(set(names))} or correct.shape != (len(names), len(labels)):
        raise ValueError("names (unique), scores, parameters, position_aware, correct must match.")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite: leave out heads whose fit has failed.")
    costs = heads.parameters if heads.costs is None else heads.costs
    chosen = cheapest_within_one_se(scores, costs, heads.folds)
    margins = paired_se(scores, heads.folds)
    expected = expected_score(
        correct, labels, costs, seed=seed, groups=groups, margins=margins, weights=weights
    )
    family, place = heads.beside(chosen)
    contrast = contrast_with_gap(family)
    verdict = Verdict(
        flatten=contrast.word if contrast else "undecided",
        sentence="",
        recommended=names[chosen],
        difference=contrast.difference if contrast else None,
        minimal_detectable=contrast.minimal_detectable if contrast else None,
        images_needed=contrast.images_needed if contrast else None,
        expected_score=expected,
        secondary=contrast.secondary if contrast else {},
        holm_p=contrast.holm_p if contrast else math.nan,
    )
    return Conclusion(verdict, heads, chosen, family, place, contrast)


def _plain(difference: Difference, names: Sequence[str]) -> dict[str, float | None]:
    return {name: or_none(getattr(difference, name)) for name in names}
