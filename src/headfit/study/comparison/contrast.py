"""Flatten against gap on one backbone, and the word that this allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from headfit.study.comparison.compare import Difference, Floats, Ints, corrected_t, holm
from headfit.study.comparison.planning import images_needed, minimal_detectable
from headfit.study.comparison.proportions import Hits

GAP, FLATTEN = "gap", "flatten"
ALPHA = 0.05


@dataclass(frozen=True)
class Contrast:
    """Flatten against gap; see ``Verdict`` for attributes that are not listed here.

    Heads are positions in the table of one backbone. Only heads with fewer parameters than flatten
    take part.

    Attributes:
        word: the answer, ``"necessary"`` and so on.
        difference: flatten − gap in the primary metric.
        p_value: of this difference, after Holm's correction if there are several backbones.
        backbones: on how many backbones the question is asked.
        blind: heads that ignore position and are as good as flatten, the cheapest first.
        aware: position-aware heads that are as good as flatten and ahead of gap.
        open: heads that are neither as good as flatten nor worse, as far as these images tell.
        worse: heads that score below flatten beyond the noise.
        secondary: flatten − gap in other metrics, where lower is better; no answer rests on them.
    """

    word: str
    difference: Difference
    p_value: float
    backbones: int
    minimal_detectable: float | None
    images_needed: int | None
    blind: list[int]
    aware: list[int]
    open: list[int]
    worse: list[int]
    secondary: dict[str, Difference]

    @property
    def ahead(self) -> bool:
        """Whether flatten is shown to be ahead of gap."""
        return self.p_value < ALPHA and self.difference.mean > 0

    def against_flatten(self) -> dict[int, str]:
        """Say how each cheaper head compares, by its position; empty if flatten is not ahead."""
        words = {"as_good": [*self.blind, *self.aware], "open": self.open, "worse": self.worse}
        found = {head: word for word, heads in words.items() for head in heads}
        return dict(sorted(found.items())) if self.ahead else {}


@dataclass(frozen=True)
class HeadScores:
    """Scores of the heads compared, in one order throughout.

    Attributes:
        names: unique names of the heads; "backbone/head" where there are several backbones.
        scores: float64 (heads, repeats·folds), the primary metric of each fold.
        parameters: int (heads,), parameters of each head.
        position_aware: for each head, whether it can tell where in the map a feature lies.
        folds: k of the cross-validation.
        images: N.
        rope: half-width of the region of practical equivalence, a fraction; 0.01 is one point.
        secondary: other metrics, where lower is better: name to float64 (heads, repeats·folds).
        families: the backbone of each head; None if there is only one.
        costs: int (heads,), what makes a head cheap; ``parameters`` if None.
        hits: how right each head is of each image; None leaves intervals to the folds alone.
        metric: name of the primary metric, which ``scores`` are of.
        groups: int (n,), equal for images that belong together; None if each stands alone.
        weighted: the scores of all heads out of fold, (B, heads), when the n images count as often
            as float64 (B, n) says.
        bounds: least and greatest value of the metric; None where there is none.
        overlap: how much folds have in common; see
            :func:`headfit.study.comparison.compare.corrected_t`.
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
    hits: Hits | None = None
    metric: str = "balanced_accuracy"
    groups: Ints | None = None
    weighted: Callable[[Floats], Floats] | None = None
    bounds: tuple[float | None, float | None] = (0.0, 1.0)
    overlap: float = 1.0

    def by_backbone(self) -> dict[str, HeadScores]:
        """Give the heads on each backbone, by their own names; "" names the only backbone."""
        if self.families is None:
            return {"": self}
        return {home: self._on(home, self.families) for home in dict.fromkeys(self.families)}

    def _on(self, home: str, families: Sequence[str]) -> HeadScores:
        rows = [row for row, family in enumerate(families) if family == home]
        return replace(
            self,
            names=[self.names[row].removeprefix(f"{home}/") for row in rows],
            scores=self.scores[rows],
            parameters=self.parameters[rows],
            position_aware=[self.position_aware[row] for row in rows],
            secondary={name: values[rows] for name, values in self.secondary.items()},
            families=None,
            costs=None if self.costs is None else self.costs[rows],
            hits=None if self.hits is None else self.hits.only(rows),
            weighted=self._weighted(rows),
        )

    def _weighted(self, rows: list[int]) -> Callable[[Floats], Floats] | None:
        every = self.weighted
        return None if every is None else lambda counts: every(counts)[:, rows]

    def difference(self, first: int, second: int) -> Difference:
        """Test one head against another."""
        floor = None if self.hits is None else self.hits.difference(first, second)
        return corrected_t(
            self.scores[first] - self.scores[second],
            self.folds,
            self.rope,
            floor=floor,
            overlap=self.overlap,
        )

    def asks(self) -> bool:
        """Tell whether gap and flatten are both there, so that the question can be asked."""
        return GAP in self.names and FLATTEN in self.names


def contrast_with_gap(heads: HeadScores, beside: Sequence[float] = ()) -> Contrast | None:
    """Test flatten against gap, and the cheaper heads behind that; None if either is absent.

    Flatten against gap is declared before the data are seen and tested as it is; other heads are
    looked at only if it is rejected (Maurer, Hothorn & Lehmacher 1995), with Holm's correction
    among themselves.

    Args:
        heads: of one backbone.
        beside: p-values of the same contrast on other backbones, for Holm's correction.
    """
    if not heads.asks():
        return None
    gap, flatten = heads.names.index(GAP), heads.names.index(FLATTEN)
    difference = heads.difference(flatten, gap)
    p_value = float(holm(np.array([difference.p_value, *beside]))[0])
    cheaper = [
        int(h)
        for h in np.argsort(heads.parameters, kind="stable")
        if h != gap and heads.parameters[h] < heads.parameters[flatten]
    ]
    behind = {h: heads.difference(flatten, h) for h in cheaper}
    is_aware = {h: heads.position_aware[h] for h in cheaper}
    blind = _shown({h: behind[h].p_better for h in cheaper if not is_aware[h]})
    # as good as flatten and ahead of gap: both must hold, so the larger p-value counts
    aware = _shown(
        {
            h: max(behind[h].p_better, _one_sided(heads.difference(h, gap)))
            for h in cheaper
            if is_aware[h]
        }
    )
    worse = [h for h in cheaper if behind[h].p_value < ALPHA and behind[h].mean > 0]
    undecided = [h for h in cheaper if h not in {*blind, *aware, *worse}]
    word = decide(
        difference,
        p_value,
        heads.rope,
        Rivals(
            blind=bool(blind),
            aware=bool(aware),
            blind_open=any(not is_aware[h] for h in undecided),
            open=bool(undecided),
        ),
    )
    # a standard error of 0 or nan is no estimate: nothing can be planned with it
    known = difference.se > 0
    secondary = {
        name: corrected_t(
            values[flatten] - values[gap], heads.folds, heads.rope, overlap=heads.overlap
        )
        for name, values in heads.secondary.items()
    }
    return Contrast(
        word=word,
        difference=difference,
        p_value=p_value,
        backbones=1 + len(beside),
        minimal_detectable=minimal_detectable(difference.se, difference.df) if known else None,
        images_needed=images_needed(heads.images, difference, heads.rope) if known else None,
        blind=blind,
        aware=aware,
        open=undecided,
        worse=worse,
        secondary=secondary,
    )


class Rivals(NamedTuple):
    """What is known of the heads that are cheaper than flatten, gap apart.

    Attributes:
        blind: one that ignores position is shown to be as good.
        aware: a position-aware one is shown to be as good, and ahead of gap.
        blind_open: one that ignores position may be as good.
        open: any may be as good.
    """

    blind: bool = False
    aware: bool = False
    blind_open: bool = False
    open: bool = False


def decide(difference: Difference, p_value: float, rope: float, rivals: Rivals) -> str:
    """Find the word for δ = flatten − gap; each is said only if it has been shown.

    nan passes no threshold.

    Args:
        difference: flatten − gap.
        p_value: of the difference.
        rope: half-width of the region of practical equivalence, a fraction.
        rivals: what is known of the cheaper heads.
    """
    if difference.p_rope >= 1 - ALPHA:
        return "equivalent"
    if difference.p_better <= ALPHA:
        return "not_necessary"
    if not (p_value < ALPHA and difference.mean > 0):
        return "undecided"
    if rivals.blind:
        return "not_necessary"
    if rivals.aware and not rivals.blind_open:
        return "position_needed"
    if difference.p_better >= 1 - ALPHA and not rivals.open and not rivals.aware:
        return "necessary"
    return "ahead"


def _shown(p_values: Mapping[int, float]) -> list[int]:
    """Give the heads whose claim holds after Holm's correction, in their order."""
    adjusted = holm(np.array(list(p_values.values())))
    return [head for head, p in zip(p_values, adjusted, strict=True) if p <= ALPHA]


def _one_sided(difference: Difference) -> float:
    """Give the p-value of being ahead; a head that is not ahead gets 1."""
    return difference.p_value if difference.mean > 0 else 1.0


def p_values_beside(heads: Mapping[str, HeadScores]) -> dict[str, list[float]]:
    """Give, for each backbone, the p-values of flatten against gap on the others."""
    asked = {
        home: part.difference(part.names.index(FLATTEN), part.names.index(GAP)).p_value
        for home, part in heads.items()
        if part.asks()
    }
    return {home: [p for other, p in asked.items() if other != home] for home in heads}
