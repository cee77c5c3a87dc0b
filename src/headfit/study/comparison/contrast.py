"""Tests flatten against gap, with the scores of all heads of one backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from headfit.study.comparison.compare import (
    Difference,
    corrected_t,
    holm,
    images_needed,
    minimal_detectable,
    paired_se,
)

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
