"""Numbers to words: which head, and is Flatten necessary on these images?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
from headfit.study.comparison.contrast import Floats, Ints, Table, contrast_with_gap
from headfit.study.comparison.wording import write_sentence
from headfit.util import html as display


@dataclass(frozen=True, repr=False)
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
        secondary: flatten − gap in log-loss and Brier score, of which less is better; they see
            more than accuracy does, but their p-values are not calibrated, and no answer rests on
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
        """The ``verdict`` object of results.json: plain types, None for what is unknown."""
        names = ("mean", "low", "high", "p_value", "p_rope", "p_better")
        gap, tested = self.difference, (*names[:3], "p_value")
        return {
            "flatten": self.flatten,
            "sentence": self.sentence,
            "recommended": self.recommended,
            "difference": None if gap is None else _plain(gap, names),
            "holm_p_value": _known(self.holm_p),
            "secondary": {name: _plain(d, tested) for name, d in self.secondary.items()},
            "minimal_detectable": self.minimal_detectable,
            "images_needed": self.images_needed,
            "expected_score": dict(zip(names[:3], map(_known, self.expected_score), strict=True)),
        }

    def __repr__(self) -> str:
        return f"<Verdict: use {self.recommended}; Flatten: {self.flatten.replace('_', ' ')}>"

    def __str__(self) -> str:
        return self.sentence

    def _repr_html_(self) -> str:
        return display.paragraph(self.sentence)


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
    secondary: Mapping[str, Floats] | None = None,
    families: Sequence[str] | None = None,
    costs: Sequence[int] | None = None,
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
        secondary: other metrics, of which less is better: name to float64 (heads, repeats·folds).
        families: the backbone of each head, if there are several; a head is then called
            "backbone/head", and the question about Flatten is answered for the backbone of the
            recommended one.
        costs: what the cheapest is judged by; ``parameters`` if None.

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
    spent = sizes if costs is None else np.asarray(costs, dtype=np.int64)
    table = Table(
        names, scores, sizes, position_aware, folds, rope, len(labels), dict(secondary or {})
    )
    chosen = cheapest_within_one_se(scores, spent, folds)
    margins = paired_se(scores, folds)
    expected = expected_score(correct, labels, spent, seed=seed, groups=groups, margins=margins)
    family, place = _family(table, families, chosen)
    contrast = contrast_with_gap(family)
    return Verdict(
        flatten=contrast.word if contrast else "undecided",
        sentence=write_sentence(table, chosen, expected, contrast, family, place),
        recommended=names[chosen],
        difference=contrast.difference if contrast else None,
        minimal_detectable=contrast.minimal_detectable if contrast else None,
        images_needed=contrast.images_needed if contrast else None,
        expected_score=expected,
        secondary=contrast.secondary if contrast else {},
        holm_p=contrast.holm_p if contrast else math.nan,
    )


def _family(table: Table, families: Sequence[str] | None, chosen: int) -> tuple[Table, int]:
    """Give the heads on the chosen one's backbone, and which of them is chosen."""
    if families is None:
        return table, chosen
    home = families[chosen]
    members = [row for row, family in enumerate(families) if family == home]
    names = [table.names[row].removeprefix(f"{home}/") for row in members]
    return table.of(members, names), members.index(chosen)


def _plain(found: Difference, names: Sequence[str]) -> dict[str, float | None]:
    return {name: _known(getattr(found, name)) for name in names}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
