"""Which head to use, and whether Flatten is necessary: flatten against gap, on one backbone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headfit.images.targets import Targets
from headfit.study.comparison.compare import (
    Difference,
    Interval,
    by_name,
    check_rope,
    or_none,
    paired_se,
    widened,
)
from headfit.study.comparison.contrast import (
    Contrast,
    HeadScores,
    contrast_with_gap,
    p_values_beside,
)
from headfit.study.comparison.proportions import Hits
from headfit.study.comparison.selection import cheapest_within_one_se, expected_score
from headfit.util import html

LIMIT = ("class", "images")
CHEAPER = ("head", "position_aware", "against_flatten")


@dataclass(frozen=True, repr=False)
class Verdict:
    """The answer of a study.

    Attributes:
        flatten: "necessary", "position_needed", "ahead", "not_necessary", "equivalent" or
            "undecided".
        sentence: the answer and the advice in plain words.
        recommended: name of the head to use.
        difference: flatten − gap in ``metric``; None if one of them was not compared.
        minimal_detectable: the difference that four of five repetitions would show, a fraction;
            None if the noise is unknown.
        images_needed: about how many images decide with a probability of 0.8; None if the noise is
            unknown.
        expected_score: mean, low, high of ``metric``, corrected for the choice of head.
        secondary: flatten − gap in other metrics, such as log-loss, where lower is better; they are
            more sensitive than accuracy, but their p-values are not calibrated, and no answer rests
            on them.
        holm_p: p-value of ``difference`` after Holm's correction over the backbones; the same as
            its own with one backbone.
        metric: the primary metric: ``"balanced_accuracy"``, of several labels
            ``"macro_average_precision"``, of numbers ``"r2"``.
        limited_by: the class or label that limits what these images can show, and its images
            (groups of images); None if none alone does.
        cheaper: where flatten is ahead of gap, the other heads with fewer parameters than flatten:
            name, whether it can tell positions apart, and how it compares with flatten:
            "as_good" (and ahead of gap, if it can), "worse" or "open".
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
    metric: str = "balanced_accuracy"
    limited_by: tuple[str, int] | None = None
    cheaper: tuple[tuple[str, bool, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give the ``verdict`` object of ``results.json``: plain types, None where unknown."""
        names = ("mean", "low", "high", "p_value", "p_rope", "p_better")
        gap, tested = self.difference, (*names[:3], "p_value")
        return {
            "metric": self.metric,
            "flatten": self.flatten,
            "sentence": self.sentence,
            "recommended": self.recommended,
            "difference": None if gap is None else _plain(gap, names),
            "holm_p_value": or_none(self.holm_p),
            "secondary": {name: _plain(d, tested) for name, d in self.secondary.items()},
            "minimal_detectable": self.minimal_detectable,
            "images_needed": self.images_needed,
            "limited_by": self.limited_by and dict(zip(LIMIT, self.limited_by, strict=True)),
            "cheaper": [dict(zip(CHEAPER, head, strict=True)) for head in self.cheaper],
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
    heads: HeadScores, targets: Targets, *, seed: int = 0, beside: Sequence[float] = ()
) -> Conclusion:
    """Compare heads by their scores on identical folds.

    Args:
        heads: their scores and hits; the question about Flatten needs "gap" and "flatten". With
            several backbones it is answered for that of the recommended head.
        targets: of the n images.
        seed: of the bootstrap for the expected score.
        beside: p-values of flatten against gap on backbones that are not among ``heads``.

    Raises:
        UsageError: ``rope`` is not between 0 and 1.
        ValueError: lengths do not match, names repeat, or scores are not finite.
    """
    check_rope(heads.rope)
    names, scores = heads.names, heads.scores
    counts = {len(names), len(scores), len(heads.parameters), len(heads.position_aware)}
    hits = heads.hits
    if counts | ({len(hits.right)} if hits else set()) != {len(set(names))}:
        raise ValueError("names (unique), scores, parameters, position_aware, hits must match.")
    if heads.weighted is None or heads.images != len(targets):
        raise ValueError("scores and targets must be of the same images.")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite: leave out heads whose fit has failed.")
    costs = heads.parameters if heads.costs is None else heads.costs
    chosen = cheapest_within_one_se(scores, costs, heads.folds, heads.overlap)
    expected = expected_score(
        heads.weighted,
        costs,
        len(targets),
        seed=seed,
        groups=heads.groups,
        margins=paired_se(scores, heads.folds, heads.overlap),
        weights=targets.weights,
        bounds=heads.bounds,
    )
    floor = hits and hits.score(chosen)
    home, parts = heads.families[chosen] if heads.families else "", heads.by_backbone()
    family, others = parts[home], [*beside, *p_values_beside(parts)[home]]
    contrast = contrast_with_gap(family, others)
    limit = _limit(hits, targets)
    verdict = Verdict(
        flatten=contrast.word if contrast else "undecided",
        sentence="",
        recommended=names[chosen],
        difference=contrast.difference if contrast else None,
        minimal_detectable=contrast.minimal_detectable if contrast else None,
        images_needed=contrast.images_needed if contrast else None,
        expected_score=widened(expected, floor) if floor else expected,
        secondary=contrast.secondary if contrast else {},
        holm_p=contrast.p_value if contrast else math.nan,
        metric=heads.metric,
        limited_by=limit,
        cheaper=tuple(
            (family.names[head], family.position_aware[head], word)
            for head, word in (contrast.against_flatten() if contrast else {}).items()
        ),
    )
    place = family.names.index(names[chosen].removeprefix(f"{home}/"))
    return Conclusion(verdict, heads, chosen, family, place, contrast)


def _limit(hits: Hits | None, targets: Targets) -> tuple[str, int] | None:
    """Name the class or label that limits what can be shown, and give its groups."""
    if hits is None or hits.rarest is None:
        return None
    occurring = np.flatnonzero(targets.mentions.any(axis=0))
    return targets.names[int(occurring[hits.rarest])], int(hits.sizes[hits.rarest])


def _plain(difference: Difference, names: Sequence[str]) -> dict[str, float | None]:
    return {name: or_none(getattr(difference, name)) for name in names}
