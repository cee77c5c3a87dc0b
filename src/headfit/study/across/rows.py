"""Results of many runs, and what they give for each data set, which counts once.

A data set that was run at several sizes or on several backbones shows the same pictures each time.
Counted several times, it would make chance look like evidence. So its runs are averaged first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from headfit.study.comparison.compare import Floats, corrected_t
from headfit.study.comparison.contrast import FLATTEN, GAP

ANY_ROPE = 0.01  # standard errors do not depend on it


@dataclass(frozen=True, eq=False)
class Row:
    """One run: a data set on one backbone at one size.

    Attributes:
        data_set: its name; rows of one name are averaged.
        backbone: its name.
        metric: what ``scores`` are of, such as ``"balanced_accuracy"``.
        scores: of each head, one of every fold of every repeat, repeat by repeat; more is better.
        folds: k of the cross-validation.
        positions: of the feature map, height × width.
        images: N.
        images_per_class: None where images have no one class.
        position_share: share of the logit variance that depends on position; None if unknown.
        se: standard error of flatten − gap; if None, that of the folds by the corrected t-test.
        overlap: see :func:`headfit.study.comparison.compare.corrected_t`.

    Raises:
        ValueError: heads differ in their number of folds, or a score is not finite.

    Example:

    >>> scores = {"gap": [0.8, 0.9, 0.7, 0.8], "flatten": [0.9, 0.9, 0.8, 0.8]}
    >>> row = Row("cells", "MobileNetV2", "balanced_accuracy", scores, 2, 49, 600)
    >>> round(row.difference, 3)
    0.05
    """

    data_set: str
    backbone: str
    metric: str
    scores: Mapping[str, Sequence[float]]
    folds: int
    positions: int
    images: int
    images_per_class: float | None = None
    position_share: float | None = None
    se: float | None = None
    overlap: float = 1.0

    def __post_init__(self) -> None:
        lengths = {len(values) for values in self.scores.values()}
        whole = len(lengths) == 1 and self.folds >= 2 and not max(lengths) % self.folds
        if not whole or not np.isfinite(self.table).all():
            raise ValueError(
                f"scores of {self.data_set} must be finite numbers, the same number for each head, "
                f"for whole repeats of {self.folds} folds."
            )

    @property
    def heads(self) -> list[str]:
        """Names of the heads."""
        return list(self.scores)

    @cached_property
    def table(self) -> Floats:
        """Scores as float64 (heads, repeats·folds)."""
        return np.array(list(self.scores.values()), np.float64)

    @property
    def asks(self) -> bool:
        """Whether gap and flatten were both compared."""
        return GAP in self.scores and FLATTEN in self.scores

    @cached_property
    def difference(self) -> float:
        """Give flatten − gap; nan if one of them was not compared."""
        return float(self._apart.mean()) if self.asks else math.nan

    @cached_property
    def standard_error(self) -> float:
        """Give that of flatten − gap; nan where the folds do not show any."""
        se = self.se
        if se is None and self.asks:
            se = corrected_t(self._apart, self.folds, ANY_ROPE, overlap=self.overlap).se
        return se if se is not None and se > 0 else math.nan

    @cached_property
    def best_lead(self) -> float:
        """Give the lead of the best head over gap, without the luck of having been chosen.

        For each fold the head is chosen that scores best on the other folds of its repeat, and is
        scored on this one; gap may be chosen, too. nan if gap is not compared, or alone.
        """
        if GAP not in self.scores or len(self.scores) < 2:
            return math.nan
        gap = self.heads.index(GAP)
        order = [gap, *(h for h in range(len(self.scores)) if h != gap)]  # of equals it is gap
        chosen = chosen_elsewhere(self.table[order], self.folds)
        return float((chosen - self.table[gap]).mean())

    @property
    def _apart(self) -> Floats:
        flatten, gap = (np.array(self.scores[name], np.float64) for name in (FLATTEN, GAP))
        apart: Floats = flatten - gap
        return apart


@dataclass(frozen=True, eq=False)
class DataSet:
    """A data set: the mean over its runs.

    Attributes:
        name: its name.
        rows: the runs.
    """

    name: str
    rows: tuple[Row, ...]

    @cached_property
    def scores(self) -> dict[str, float]:
        """Mean score of every head that all its runs have."""
        shared = [h for h in self.rows[0].heads if all(h in row.scores for row in self.rows)]
        return {h: float(np.mean([np.mean(row.scores[h]) for row in self.rows])) for h in shared}

    @property
    def difference(self) -> float:
        """Give flatten − gap; nan if a run lacks one of them."""
        return float(np.mean([row.difference for row in self.rows]))

    @property
    def standard_error(self) -> float:
        """Give that of ``difference``.

        The runs see the same images, so their errors are taken to be the same: the mean of the
        standard errors, which is the largest that there can be.
        """
        return float(np.mean([row.standard_error for row in self.rows]))

    @property
    def best_lead(self) -> float:
        """Give the mean lead of the best head over gap; see :attr:`Row.best_lead`."""
        return float(np.mean([row.best_lead for row in self.rows]))

    @property
    def positions(self) -> float:
        """Give the geometric mean of the numbers of positions."""
        return float(np.exp(np.mean(np.log([row.positions for row in self.rows]))))

    @property
    def images_per_class(self) -> float:
        """Give the geometric mean of the images of a class; nan if unknown."""
        values = [row.images_per_class for row in self.rows if row.images_per_class]
        return float(np.exp(np.mean(np.log(values)))) if values else math.nan

    @property
    def position_share(self) -> float:
        """Give the mean share of the logit variance that depends on position; nan if unknown."""
        values = [row.position_share for row in self.rows if row.position_share is not None]
        return float(np.mean(values)) if values else math.nan

    @cached_property
    def slope(self) -> float:
        """Give how much flatten − gap grows when the map has twice the positions.

        Least squares for each backbone that was run on maps of several sizes, and the mean over
        these backbones; nan if there is none.
        """
        slopes = []
        for backbone in dict.fromkeys(row.backbone for row in self.rows):
            own = [row for row in self.rows if row.backbone == backbone]
            sizes = np.log2([row.positions for row in own])
            if np.ptp(sizes) > 0:
                away = sizes - sizes.mean()
                apart = np.array([row.difference for row in own])
                slopes.append(float(away @ apart / (away @ away)))
        return float(np.mean(slopes)) if slopes else math.nan


def by_data_set(rows: Sequence[Row]) -> list[DataSet]:
    """Gather the runs of each data set, in the order of their appearance."""
    names = dict.fromkeys(row.data_set for row in rows)
    return [DataSet(name, tuple(row for row in rows if row.data_set == name)) for name in names]


def chosen_elsewhere(scores: Floats, folds: int) -> Floats:
    """Score, in each fold, the head that is best on the other folds of the same repeat.

    Args:
        scores: float64 (heads, repeats·folds); of equals the first head is chosen.
        folds: k of the cross-validation.

    Returns:
        float64 (repeats·folds,).

    Example:

    >>> chosen_elsewhere(np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.6]]), folds=3)
    array([0.5, 0. , 0.6])
    """
    parts = scores.reshape(len(scores), -1, folds)
    elsewhere = parts.sum(axis=2, keepdims=True) - parts
    best = elsewhere.argmax(axis=0)
    chosen: Floats = np.take_along_axis(parts, best[None], axis=0)[0].ravel()
    return chosen
