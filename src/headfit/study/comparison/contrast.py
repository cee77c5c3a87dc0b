"""Flatten against gap, on the scores of all heads of one backbone."""

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
    """Flatten against gap, and what the answer needs beside it; see ``Verdict`` for the rest.

    Attributes:
        word: the answer.
        holm_p: the p-value of the difference after Holm's correction.
        contrasts: how many heads were compared with gap.
        rivals: position-aware heads with fewer parameters than flatten, the cheapest first.
        equals: those of them within one standard error of flatten (or above it).
        secondary: flatten − gap in other metrics, of which less is better; no answer rests on them.
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
        secondary: other metrics, of which less is better: name to float64 (heads, repeats·folds).
    """

    names: Sequence[str]
    scores: Floats
    parameters: Ints
    position_aware: Sequence[bool]
    folds: int
    rope: float
    images: int
    secondary: Mapping[str, Floats] = field(default_factory=dict)

    def of(self, which: Sequence[int], names: Sequence[str]) -> Table:
        """Give some of the heads, under other names."""
        rows = list(which)
        return replace(
            self,
            names=names,
            scores=self.scores[rows],
            parameters=self.parameters[rows],
            position_aware=[self.position_aware[row] for row in rows],
            secondary={name: values[rows] for name, values in self.secondary.items()},
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
    rows = [table.names.index(name) for name in (FLATTEN, GAP)]
    secondary = {
        name: corrected_t(values[rows[0]] - values[rows[1]], table.folds, table.rope)
        for name, values in table.secondary.items()
    }
    return Contrast(word, difference, holm_p, len(others), mde, needed, rivals, equals, secondary)


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


def _rivals(table: Table) -> tuple[list[int], list[int]]:
    """See ``Contrast``: the heads that could take flatten's place, and those that do."""
    flatten, sizes = table.names.index(FLATTEN), table.parameters
    behind = table.scores[flatten].mean() - table.scores.mean(axis=1)
    errors = paired_se(table.scores, table.folds)[flatten]
    order = [int(h) for h in np.argsort(sizes, kind="stable")]
    rivals = [h for h in order if table.position_aware[h] and sizes[h] < sizes[flatten]]
    return rivals, [h for h in rivals if behind[h] <= errors[h]]
