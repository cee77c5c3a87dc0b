"""Which head to use, and is Flatten necessary on these images?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headfit.study.comparison.compare import (
    Difference,
    Interval,
    cheapest_within_one_se,
    check_rope,
    expected_score,
    paired_se,
)
from headfit.study.comparison.contrast import (
    Contrast,
    Floats,
    HeadScores,
    Ints,
    contrast_with_gap,
)
from headfit.util import html


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
            "holm_p_value": _or_none(self.holm_p),
            "secondary": {name: _plain(d, tested) for name, d in self.secondary.items()},
            "minimal_detectable": self.minimal_detectable,
            "images_needed": self.images_needed,
            "expected_score": dict(zip(names[:3], map(_or_none, self.expected_score), strict=True)),
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
) -> Conclusion:
    """Compare heads by their scores on identical folds.

    Args:
        heads: their scores; the question about Flatten needs "gap" and "flatten". With several
            backbones it is answered for that of the recommended head.
        correct: float64 (heads, n), share of the repeats that got an image right out of fold.
        labels: int (n,).
        seed: of the bootstrap for the expected score.
        groups: int (n,), equal for images that belong together; the bootstrap draws whole groups.

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
    expected = expected_score(correct, labels, costs, seed=seed, groups=groups, margins=margins)
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
    return {name: _or_none(getattr(difference, name)) for name in names}


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
