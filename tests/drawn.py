"""Studies drawn at a known truth, without a fit: which images does each head get right?

An image is right if what all heads share of it, what a head makes of it and what a repeat adds stay
below a threshold that gives the head its true accuracy. Shared by the tests and by
``benchmarks/calibration.py``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy import stats

from headfit.fitting.metrics import balanced_accuracies
from headfit.study.comparison.contrast import (
    Contrast,
    HeadScores,
    contrast_with_gap,
    p_values_beside,
)
from headfit.study.comparison.proportions import Hits
from headfit.study.protocol.splits import make_splits

FOLDS, REPEATS, ROPE = 10, 3, 0.01
# the cheapest first; whether each is aware of position
HEADS = {"gap": False, "gmp": False, "avgmax": False, "gem": False, "lse": False, "spp": True}
HEADS |= {"low_rank": True, "attention": True, "flatten": True}
REPEATED = 0.1  # deviation of what a repeat adds


@dataclass(frozen=True)
class Drawn:
    """Where studies are drawn from.

    Attributes:
        accuracies: of each head, its true balanced accuracy; "backbone/head" with several.
        images: N.
        own: deviation of what a head makes of an image; what all share has 1.
        shares: of each class.
        together: images of a group, which are right or wrong alike.
    """

    accuracies: Mapping[str, float]
    images: int
    own: float = 0.3
    shares: tuple[float, ...] = (0.5, 0.5)
    together: int = 1

    @property
    def labels(self) -> np.ndarray:
        """Of the images, int (n,)."""
        return _deal(self.images, self.shares, self.together).labels

    def draw(self, rng: np.random.Generator) -> HeadScores:
        """Draw a study."""
        dealt = _deal(self.images, self.shares, self.together)
        count = len(self.accuracies)

        def normal(*shape: int) -> np.ndarray:
            return rng.standard_normal((*shape, dealt.units), dtype=np.float32)

        seen = normal() + self.own * normal(count, 1) + REPEATED * normal(count, REPEATS)
        spread = math.sqrt(1 + self.own**2 + REPEATED**2)
        limits = stats.norm.ppf(list(self.accuracies.values())) * spread
        right = (seen < limits[:, None, None])[:, :, dealt.groups]
        groups = dealt.groups if self.together > 1 else None
        backbones, _, heads = zip(*(name.rpartition("/") for name in self.accuracies), strict=True)
        return HeadScores(
            list(self.accuracies),
            dealt.scores(right),
            np.array([list(HEADS).index(head) for head in heads]) + 1,
            [HEADS[head] for head in heads],
            dealt.folds,
            self.images,
            ROPE,
            families=backbones if len(set(backbones)) > 1 else None,
            hits=Hits.of(right, dealt.labels, groups),
            groups=groups,
            weighted=partial(balanced_accuracies, right.mean(axis=1), dealt.labels),
        )

    def contrasts(self, rng: np.random.Generator) -> list[Contrast]:
        """Ask the question of a study on each backbone."""
        parts = self.draw(rng).by_backbone()
        beside = p_values_beside(parts)
        found = [contrast_with_gap(part, beside[home]) for home, part in parts.items()]
        return [each for each in found if each is not None]


class Dealt(NamedTuple):
    """Images in their classes, groups and folds. They are alike, so all studies share them.

    Attributes:
        labels: int (n,).
        groups: int (n,).
        units: number of groups.
        folds: k.
        order: int (repeats, n), the images by fold, then by class.
        starts: int (repeats, k·K), where each class of each fold begins among them.
    """

    labels: np.ndarray
    groups: np.ndarray
    units: int
    folds: int
    order: np.ndarray
    starts: np.ndarray

    def scores(self, right: np.ndarray) -> np.ndarray:
        """Balanced accuracy in each fold: bool (heads, repeats, n) to float64 (heads, R·k)."""
        parts = []
        for repeat, (order, starts) in enumerate(zip(self.order, self.starts, strict=True)):
            hits = np.add.reduceat(right[:, repeat, order], starts, axis=1, dtype=float)
            parts.append(hits / np.diff(starts, append=len(order)))
        return np.stack(parts, 1).reshape(len(right), len(parts) * self.folds, -1).mean(axis=2)


@functools.lru_cache(8)
def _deal(images: int, shares: tuple[float, ...], together: int) -> Dealt:
    sizes = np.round(np.array(shares) * images / together).astype(int)
    labels = np.arange(len(sizes)).repeat(sizes * together)
    groups = np.arange(sizes.sum()).repeat(together)
    folds = min(FOLDS, int(sizes.min()))
    splits = make_splits(labels, folds=folds, repeats=REPEATS, seed=0, groups=groups)
    keys = splits.assignment.astype(int) * len(sizes) + labels
    order = np.argsort(keys, axis=1, kind="stable")
    ordered = np.take_along_axis(keys, order, axis=1)
    starts = np.stack([np.unique(row, return_index=True)[1] for row in ordered])
    return Dealt(labels, groups, len(groups) // together, folds, order, starts)
