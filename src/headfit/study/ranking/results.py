"""A ranking of backbones as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.backbones.catalog import BackboneSpec
from headfit.errors import HeadfitError
from headfit.features.extract import Extraction
from headfit.fitting.exact.loo import LeftOut
from headfit.images.contract import Contract
from headfit.images.index import ImageIndex
from headfit.study.comparison.compare import by_name
from headfit.study.ranking.standings import Standing

Failed = tuple[str, str, HeadfitError]
"""Name and weights of a backbone, and why it could not be ranked."""


@dataclass(frozen=True)
class RankedBackbone:
    """A backbone that could run.

    Attributes:
        spec: the backbone.
        weights: ``"imagenet"``, ``"random"`` or a path.
        contract: its preprocessing.
        extraction: the feature maps of all images.
        rows: int (n,), the images that it predicted.
        left_out: the predictions.
        seconds: time for the graph, the pass and ridge.
    """

    spec: BackboneSpec
    weights: str
    contract: Contract
    extraction: Extraction
    rows: np.ndarray
    left_out: LeftOut
    seconds: float

    @property
    def paths(self) -> list[str]:
        """Paths of the images that it predicted."""
        return [self.extraction.index.paths[row] for row in self.rows]


def describe(ranked: list[tuple[RankedBackbone, Standing]], failed: list[Failed]) -> dict[str, Any]:
    """Describe a ranking as plain data, without words.

    Args:
        ranked: the backbones that could run, best first.
        failed: those that could not, and why.
    """
    return {
        "backbones": [_row(backbone, standing) for backbone, standing in ranked],
        "failed": [
            {"backbone": name, "weights": weights, "reason": str(error)}
            for name, weights, error in failed
        ],
        **_images(ranked[0][0]),
    }


def class_counts(index: ImageIndex) -> dict[str, int]:
    """Count the images of each class in all splits."""
    counts = np.bincount(index.labels, minlength=len(index.classes)).tolist()
    return dict(zip(index.classes, counts, strict=True))


def _images(best: RankedBackbone) -> dict[str, Any]:
    index = best.extraction.index
    skipped = [{"path": s.path, "reason": s.reason} for s in index.skipped]
    images = {
        "found": len(index) + len(skipped),
        "used": len(best.rows),
        "test": len(index) - len(best.rows),
        "skipped": len(skipped),
        "classes": class_counts(index.subset(best.rows)),
    }
    return {"images": images, "skipped": skipped}


def _row(backbone: RankedBackbone, standing: Standing) -> dict[str, Any]:
    extraction = backbone.extraction
    return {
        "backbone": backbone.spec.name,
        "weights": backbone.weights,
        "input_size": backbone.contract.width,
        "map_shape": list(extraction.info.map_shape),
        "parameters": extraction.info.parameters,
        "balanced_accuracy": by_name(standing.balanced_accuracy),
        "accuracy": by_name(standing.accuracy),
        "difference": by_name(standing.difference),
        "within_noise": standing.within_noise,
        "penalty": backbone.left_out.penalty,
        "penalty_at_edge": backbone.left_out.at_edge,
        "computed": extraction.computed,
        "cached": extraction.cached,
        "seconds": round(backbone.seconds, 3),
        "latency_ms": round(extraction.latency_ms, 3),
        "engine": extraction.info.to_dict(),
    }
