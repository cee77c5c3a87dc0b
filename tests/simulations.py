"""Data sets of which the truth is known, and headfit's own way through them.

A *view* is what one head sees of the images. Views of one strength hold the same signal under noise
of the same strength, so that heads which each pool a view of their own are equal by construction.
Shared by the tests and by ``benchmarks/calibration.py``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import stats

from headfit.features.store import FeatureMaps
from headfit.fitting.exact.method import Exact
from headfit.fitting.fitted import FittedHead
from headfit.fitting.kinds import KINDS
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import CrossValidation, Problem
from headfit.heads.chain import Head, parse_head
from headfit.images.targets import LABELS, NUMBER, Targets
from headfit.study.comparison.compare import ROUNDING, Difference, corrected_interval, corrected_t
from headfit.study.comparison.contrast import Contrast, HeadScores, contrast_with_gap
from headfit.study.comparison.evidence import hits_of, weighted_scores
from headfit.study.comparison.proportions import Hits
from headfit.study.comparison.results import fold_metrics
from headfit.study.protocol.splits import make_splits
from numbered import numbered

GAP = parse_head("gap")
ALPHA, ROPE = 0.05, 0.01
TESTED = 20_000  # new images that the truth is measured on
Rng = np.random.Generator


@dataclass(frozen=True)
class World:
    """Where data sets are drawn from.

    Attributes:
        images: N.
        shares: of each class.
        width: dimensions that hold signal.
        blank: further dimensions, of noise alone.
        signal: how far a class is from the middle in each dimension; the noise has deviation 1.
        shared: share of the noise's variance that all views have in common, as heads have that
            look at the same images.
    """

    images: int = 150
    shares: tuple[float, ...] = (0.5, 0.5)
    width: int = 10
    blank: int = 30
    signal: float = 0.4
    shared: float = 0.5

    def centre(self, label: int) -> np.ndarray:
        """Where a class lies, float64 (width + blank,), at signal 1; 0 is the middle of all."""
        classes = len(self.shares)
        own = np.arange(self.width) % classes == label
        return np.append((classes * own - 1) / (classes - 1), np.zeros(self.blank))

    def draw(self, rng: Rng, strengths: Sequence[float]) -> tuple[np.ndarray, list[np.ndarray]]:
        """Draw the labels, int (n,), and a view for each strength, float64 (n, width + blank)."""
        counts = np.round(np.array(self.shares) * self.images).astype(int)
        labels = rng.permutation(np.arange(len(counts)).repeat(counts))
        centres = self.signal * np.stack([self.centre(c) for c in range(len(counts))])[labels]
        common = rng.normal(size=centres.shape) * math.sqrt(self.shared)
        own = math.sqrt(1 - self.shared)
        return labels, [
            s * centres + common + own * rng.normal(size=common.shape) for s in strengths
        ]

    def truth(self, kernel: np.ndarray, bias: np.ndarray, strength: float) -> float:
        """Balanced accuracy of a linear head for two classes, over all images there could be.

        Args:
            kernel: (width + blank, 2).
            bias: (2,).
            strength: of the view that it sees.
        """
        weights, threshold = kernel[:, 1] - kernel[:, 0], bias[1] - bias[0]
        ahead = self.signal * strength * self.centre(1) @ weights
        size = np.linalg.norm(weights)
        found = stats.norm.cdf([(ahead + threshold) / size, (ahead - threshold) / size])
        return float(found.mean())


@dataclass(frozen=True)
class OtherWorld:
    """Where images with several labels, or with numbers, are drawn from.

    What is to be predicted depends on ``outputs`` directions of ``width`` dimensions.

    Attributes:
        kind: ``"labels"`` or ``"number"``.
        images: N.
        outputs: labels or numbers of an image.
        width: dimensions that hold signal.
        blank: further dimensions, of noise alone.
        signal: its strength; the noise of a view has deviation 1 in each dimension.
        shared: share of the noise's variance that all views have in common.
        unseen: deviation of what no view says of a target, which has deviation 1 without it.
        rarity: how far above its mean a score must be for its label.
    """

    kind: str
    images: int = 150
    outputs: int = 2
    width: int = 10
    blank: int = 30
    signal: float = 0.7
    shared: float = 0.5
    unseen: float = 0.5
    rarity: float = 0.5

    def draw(self, rng: Rng, strengths: Sequence[float]) -> tuple[Targets, list[np.ndarray]]:
        """Draw the targets and a view for each strength, float64 (n, width + blank)."""
        hidden = np.pad(rng.normal(size=(self.images, self.width)), ((0, 0), (0, self.blank)))
        directions = np.eye(self.outputs)[np.arange(self.width) % self.outputs]
        directions = directions * math.sqrt(self.outputs / self.width)
        scores = hidden[:, : self.width] @ directions
        scores += self.unseen * rng.normal(size=scores.shape)
        common = rng.normal(size=hidden.shape) * math.sqrt(self.shared)
        own = math.sqrt(1 - self.shared)
        views = [
            s * self.signal * hidden + common + own * rng.normal(size=common.shape)
            for s in strengths
        ]
        names = tuple(f"t{k}" for k in range(self.outputs))
        if self.kind == NUMBER:
            return Targets.of_numbers(names, 100 * scores + 2000), views
        return Targets(names, (scores > self.rarity).astype(int), LABELS), views

    def truths(
        self, fitted: Sequence[FittedHead], strengths: Sequence[float], seed: int, test: int
    ) -> list[float]:
        """Give what heads truly score, on many new images in parts of as many as a fold holds."""
        large = replace(self, images=TESTED // test * test)
        targets, views = large.draw(np.random.default_rng([seed, 1]), strengths)
        kind = KINDS[self.kind]
        parts = np.arange(large.images).reshape(-1, test)
        if self.kind == NUMBER:
            parts = parts.reshape(1, -1)
        scores = []
        for head, view in zip(fitted, views, strict=True):
            predictions = head.probabilities(view.astype(np.float32)[:, None, None])
            each = [kind.score(predictions[rows], targets.values[rows]) for rows in parts]
            scores.append(float(np.nanmean(each)))
        return scores


def maps_of(values: np.ndarray) -> FeatureMaps:
    """Give features (n, d) or maps (n, H, W, C) as maps that are in memory already."""
    block = values.astype(np.float32).reshape(
        len(values), *(values.shape[1:] if values.ndim == 4 else (1, 1, -1))
    )
    return FeatureMaps(
        (block,), np.stack([np.zeros(len(block), int), np.arange(len(block))], axis=1)
    )


def pooled_of(values: np.ndarray, heads: Sequence[Head] = (GAP,)) -> PooledFeatures:
    """Give maps, or features, as what heads are cross-validated on."""
    return PooledFeatures(maps_of(values), tuple(head.pooling for head in heads))


def problem_of(
    labels: np.ndarray | Targets,
    folds: int,
    repeats: int,
    seed: int,
    groups: np.ndarray | None = None,
) -> Problem:
    """Deal the images as a study does; classes may be given by their numbers."""
    targets = labels if isinstance(labels, Targets) else numbered(labels)
    splits = make_splits(
        targets.strata,
        folds=folds,
        repeats=repeats,
        seed=seed,
        groups=groups,
        required=targets.kind != NUMBER,
    )
    return Problem(targets, splits, seed=seed)


@dataclass(frozen=True)
class Outcome:
    """Heads that were cross-validated on the same folds.

    Attributes:
        problem: labels and folds.
        found: of each head.
        metrics: name → float64 (heads, repeats·folds).
    """

    problem: Problem
    found: list[CrossValidation]
    metrics: dict[str, np.ndarray]

    @property
    def scores(self) -> np.ndarray:
        """The primary metric of each head and fold."""
        return self.metrics[self.problem.kind.primary]

    @functools.cached_property
    def hits(self) -> Hits | None:
        """How right each head is of each image; None for numbers."""
        return hits_of([fit.probabilities for fit in self.found], self.problem, None)

    def score(self, head: int) -> tuple[float, float]:
        """Give the interval of one head's score, which counts images where they can be counted."""
        lower, upper = self.problem.kind.bounds(self.problem.kind.primary)
        floor = None if self.hits is None else self.hits.score(head)
        folds = self.problem.splits.folds
        _, low, high = corrected_interval(
            self.scores[head], folds, lower=lower, upper=upper, floor=floor
        )
        return low, high

    @functools.cached_property
    def weighted(self) -> Callable[[np.ndarray], np.ndarray]:
        """Scores of all heads for many weightings of the images."""
        return weighted_scores([fit.probabilities for fit in self.found], self.problem)

    def lead(self, head: int, metric: str = "") -> np.ndarray:
        """How far a head is ahead of the first in each fold, float64 (repeats·folds,)."""
        scores = self.metrics[metric or self.problem.kind.primary]
        ahead: np.ndarray = scores[head] - scores[0]
        return ahead

    def difference(self, head: int, metric: str = "") -> Difference:
        """Test a head against the first, in the primary metric if none is named."""
        floor = None if self.hits is None or metric else self.hits.difference(head, 0)
        return corrected_t(
            self.lead(head, metric),
            self.problem.splits.folds,
            ROPE,
            floor=floor,
            overlap=self.problem.kind.overlap,
        )

    def table(self, heads: Sequence[str] = ()) -> HeadScores:
        """Gather what a verdict rests on.

        Args:
            heads: what the heads stand for, the cheapest first; by default the last is flatten,
                the first gap, and those between them ignore position.
        """
        count = len(self.found)
        names = heads or ["gap", *(f"head{number}" for number in range(1, count - 1)), "flatten"]
        return HeadScores(
            names,
            self.scores,
            np.arange(1, count + 1),
            [name in ("spp", "flatten") for name in names],
            self.problem.splits.folds,
            len(self.problem.targets),
            ROPE,
            hits=self.hits,
            metric=self.problem.kind.primary,
            weighted=self.weighted,
            bounds=self.problem.kind.bounds(self.problem.kind.primary),
            overlap=self.problem.kind.overlap,
        )

    def contrast(self, heads: Sequence[str] = ()) -> Contrast:
        """Ask the question of a study; see :meth:`table`."""
        found = contrast_with_gap(self.table(heads))
        assert found is not None
        return found


def cross_validated(pairs: Sequence[tuple[Head, PooledFeatures]], problem: Problem) -> Outcome:
    """Go headfit's way: every head on the same folds, its settings chosen in an inner search."""
    found = [Exact(head, pooled).cross_validate(problem) for head, pooled in pairs]
    scored = [fold_metrics(each, problem) for each in found]
    return Outcome(
        problem, found, {name: np.stack([m[name] for m in scored]) for name in scored[0]}
    )


def simulate(
    world: World | OtherWorld,
    seed: int,
    *,
    folds: int,
    repeats: int,
    strengths: Sequence[float] = (1.0, 1.0),
) -> tuple[Outcome, list[np.ndarray]]:
    """Draw a data set and compare one head a view; the views come along."""
    labels, views = world.draw(np.random.default_rng(seed), strengths)
    problem = problem_of(labels, folds, repeats, seed)
    return cross_validated([(GAP, pooled_of(view)) for view in views], problem), views


def true_scores(
    world: World | OtherWorld,
    outcome: Outcome,
    views: Sequence[np.ndarray],
    strengths: Sequence[float],
) -> list[float]:
    """What each head truly scores, trained on one of the training parts.

    The mean over data sets is the score that the interval is for: that of heads trained on
    N(1 − 1/k) images, on all images there could be.
    """
    problem = outcome.problem
    training, _ = problem.splits.indices(0, 0)
    part = Problem(problem.targets.subset(training), problem.splits)
    fitted = [
        Exact(found.head, pooled_of(view[training])).refit(part, found.choices[0])
        for found, view in zip(outcome.found, views, strict=True)
    ]
    if isinstance(world, OtherWorld):
        test = len(problem.targets) // problem.splits.folds
        return world.truths(fitted, strengths, problem.splits.seed, test)
    return [world.truth(*f.weights, s) for f, s in zip(fitted, strengths, strict=True)]


class Naive(NamedTuple):
    """What the t-test says that takes folds for independent."""

    p_value: float
    low: float
    high: float


def naive_t(lead: np.ndarray) -> Naive:
    """Test differences of folds, float64 (m,), without the correction."""
    if np.ptp(lead) <= ROUNDING:
        return Naive(float(abs(lead[0]) <= ROUNDING), lead[0], lead[0])
    found = stats.ttest_1samp(lead, 0.0)
    return Naive(float(found.pvalue), *map(float, found.confidence_interval()))
