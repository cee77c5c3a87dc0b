"""One backbone in a comparison: its feature maps, and the heads cross-validated on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from headfit.backbones.engines.interface import Joint, is_joined
from headfit.errors import UsageError
from headfit.features.extract import Extraction
from headfit.fitting.fitted import FittedHead
from headfit.fitting.methods import Method, method_of
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import CrossValidation, Problem
from headfit.heads.chain import Head
from headfit.heads.layers.plain import GAP
from headfit.progress import Callback, HeadScore, Progress
from headfit.runs.map_source import MapSource
from headfit.study.comparison.proportions import Range
from headfit.study.comparison.results import floors, fold_metrics
from headfit.study.protocol.crossval import cross_validate, refit
from headfit.study.protocol.ledger import Ledger
from headfit.util import cache

Scored = Callable[[CrossValidation, dict[str, np.ndarray], dict[str, Range]], HeadScore]
"""Takes a cross-validation, its scores on each held-out fold, and its floors."""


def check_heads(sources: Sequence[MapSource], joint: Joint, heads: Sequence[Head]) -> None:
    """Raise a ``UsageError`` if a head does not suit the maps that an engine gives for a source."""
    for source, part in zip(sources, joint.parts, strict=True):
        for head in _of_cut(source, heads):
            head.pooling.check(part.map_shape)


def _of_cut(source: MapSource, heads: Sequence[Head]) -> list[Head]:
    """Leave out heads of several layers where the maps are of one, and the other way round."""
    joined, only = is_joined(source.cut), source.extra
    return [head for head in heads if (joined if head.pooling.several_layers else not only)]


@dataclass
class CandidateBackbone:
    """A backbone at one input size and one cut that takes part in a comparison.

    Attributes:
        name: what tells it from the others.
        source: where its feature maps come from.
        extraction: the maps of all images that every backbone could read.
        rows: int (n,), the images that the study trains on.
        fits: each head's cross-validation.
        metrics: its scores on each held-out fold.
        floors: the intervals that its counts of images allow.
    """

    name: str
    source: MapSource
    extraction: Extraction
    rows: np.ndarray
    fits: list[CrossValidation] = field(default_factory=list)
    metrics: list[dict[str, np.ndarray]] = field(default_factory=list)
    floors: list[dict[str, Range]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pooled = PooledFeatures(self.extraction.maps.subset(self.rows), (GAP,))

    def suitable(self, heads: list[Head], callback: Callback, *, strict: bool) -> list[Head]:
        """Leave out the heads that these maps do not suit.

        Args:
            heads: all heads.
            callback: receives a message for each that is left out.
            strict: whether such a head is an error, because the user named it.

        Raises:
            UsageError: if ``strict``, and a head does not suit the maps.
        """
        heads = _of_cut(self.source, heads)
        _, height, width, channels = self.pooled.maps.shape
        signed = any(head.pooling.nonnegative for head in heads) and self.pooled.lowest() < 0
        suitable = []
        for head in heads:
            try:
                head.pooling.check((height, width, channels))
                if signed and head.pooling.nonnegative:
                    raise UsageError(
                        f"Head {head.name} needs feature maps without negative values, and those "
                        f"of {self.name} have some."
                    )
                suitable.append(head.on((height, width, channels), self.source.options.seed))
            except UsageError as error:
                if strict:
                    raise
                callback.on_message(f"Left out: {error}")
        return suitable

    def fit(
        self,
        heads: list[Head],
        problem: Problem,
        groups: np.ndarray | None,
        callback: Callback,
        scored: Scored,
    ) -> None:
        """Cross-validate heads that suit the maps; ``scored`` sums up each for the callback."""
        poolings = tuple(dict.fromkeys(head.pooling for head in heads))
        self.pooled = PooledFeatures(self.pooled.maps, poolings)
        ledger = self.ledger(problem)
        for number, head in enumerate(heads):
            progress = Progress(_reporter(callback, head.name), number, number + 1)
            progress(0.0)
            fit = cross_validate(self.method(head, problem), problem, progress, ledger)
            self.fits.append(fit)
            self.metrics.append(fold_metrics(fit, problem))
            self.floors.append(floors(fit, problem, groups))
            callback.on_head_end(scored(fit, self.metrics[-1], self.floors[-1]))

    def refit(self, fit: CrossValidation, problem: Problem) -> FittedHead:
        """Fit a head on all training images, with the settings of its cross-validation."""
        return refit(self.method(fit.head, problem), problem, fit.final, self.ledger(problem))

    def method(self, head: Head, problem: Problem) -> Method:
        """Give the method that fits a head on this backbone's maps."""
        return method_of(head, self.pooled, problem.seed)

    def ledger(self, problem: Problem) -> Ledger:
        """Give the stored fits on this backbone's maps."""
        images = [self.extraction.digests[row] for row in self.rows]
        return Ledger(cache.FITS.folder, [self.source.key, images], problem)

    def averages(self) -> np.ndarray:
        """Give the mean feature of each training image, float32 (n, C)."""
        return self.pooled.features(GAP, None)

    def fit_of(self, head: str) -> CrossValidation | None:
        """Find the cross-validation of a head by its name."""
        return next((fit for fit in self.fits if fit.head.name == head), None)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.name}: {len(self.rows)} images, {len(self.fits)} heads>"
        )


def _reporter(callback: Callback, head: str) -> Callable[[float], None]:
    return lambda done: callback.on_progress(done, head)
