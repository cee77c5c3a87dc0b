"""Numbers of a ranking as plain data: what ``headfit rank --json`` prints."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headfit.backbones.catalog import BackboneSpec
from headfit.backbones.weights import IMAGENET
from headfit.errors import HeadfitError
from headfit.features.extract import Extraction
from headfit.fitting.exact.loo import LeftOut
from headfit.images.contract import Contract
from headfit.images.index import ImageIndex
from headfit.study.comparison.compare import Interval
from headfit.study.ranking.standings import Standing

SCHEMA = "headfit.ranking/1"
QUICKER = 0.9  # less than that is noise of the clock
MOST_ADVISED = 3
Failed = tuple[BackboneSpec, str, HeadfitError]


@dataclass(frozen=True)
class Measured:
    """A backbone that could run.

    Attributes:
        spec: which one.
        weights: ``"imagenet"``, ``"random"`` or a path.
        contract: its preprocessing.
        found: the maps of all images.
        rows: int (n,), which of these it predicted.
        left_out: the predictions.
        seconds: what it all took.
    """

    spec: BackboneSpec
    weights: str
    contract: Contract
    found: Extraction
    rows: np.ndarray
    left_out: LeftOut
    seconds: float

    @property
    def paths(self) -> list[str]:
        """Of the images that it predicted."""
        return [self.found.index.paths[row] for row in self.rows]


def label(name: str, weights: str) -> str:
    """Name a backbone, and its weights if they are not the usual ones."""
    return name if weights == IMAGENET else f"{name} ({Path(weights).name} weights)"


def describe(
    ranked: list[tuple[Measured, Standing]], failed: list[Failed], folder: str, flags: list[str]
) -> dict[str, Any]:
    """Describe a ranking.

    Args:
        ranked: best first.
        failed: those that could not run, and why.
        folder: of the images.
        flags: options that a comparison of heads must be given to use the same maps.
    """
    rows = [_row(measured, standing) for measured, standing in ranked]
    equal = [measured for measured, standing in ranked if standing.within_noise]
    return {
        "schema": SCHEMA,
        "sentence": _sentence(rows),
        "next": _next(equal, folder, flags),
        "backbones": rows,
        "failed": [
            {"backbone": spec.name, "weights": weights, "reason": str(error)}
            for spec, weights, error in failed
        ],
        **_images(ranked[0][0]),
    }


def class_counts(index: ImageIndex) -> dict[str, int]:
    """Count the images of each class, whatever their split."""
    counts = np.bincount(index.labels, minlength=len(index.classes)).tolist()
    return dict(zip(index.classes, counts, strict=True))


def _images(best: Measured) -> dict[str, Any]:
    index = best.found.index
    skipped = [{"path": s.path, "reason": s.reason} for s in index.skipped]
    images = {
        "found": len(index) + len(skipped),
        "used": len(best.rows),
        "test": len(index) - len(best.rows),
        "skipped": len(skipped),
        "classes": class_counts(index.subset(best.rows)),
    }
    return {"images": images, "skipped": skipped}


def _next(equal: list[Measured], folder: str, flags: list[str]) -> str:
    """Write the command that compares heads on these, from the same feature maps."""
    first = {m.spec.name: m for m in reversed(equal)}  # compare takes a name once
    chosen = [m for m in equal if first[m.spec.name] is m][:MOST_ADVISED]
    weights = [m.weights for m in chosen]
    words = ["headfit", "compare", folder, "--backbone", ",".join(m.spec.argument for m in chosen)]
    words += ["--weights", ",".join(weights)] if set(weights) != {IMAGENET} else []
    return shlex.join([*words, *flags])


def _row(measured: Measured, standing: Standing) -> dict[str, Any]:
    found = measured.found
    return {
        "backbone": measured.spec.name,
        "weights": measured.weights,
        "input_size": measured.contract.width,
        "map_shape": list(found.info.map_shape),
        "parameters": found.info.parameters,
        "balanced_accuracy": _interval(standing.balanced_accuracy),
        "accuracy": _interval(standing.accuracy),
        "difference": _interval(standing.difference),
        "within_noise": standing.within_noise,
        "penalty": measured.left_out.penalty,
        "penalty_at_edge": measured.left_out.at_edge,
        "computed": found.computed,
        "cached": found.cached,
        "seconds": round(measured.seconds, 3),
        "latency_ms": round(found.latency_ms, 3),
        "engine": found.info.to_dict(),
    }


def _interval(values: Interval) -> dict[str, float]:
    return dict(zip(("mean", "low", "high"), values, strict=True))


def _sentence(rows: list[dict[str, Any]]) -> str:
    """Say in words who is ahead, and who may be as good."""
    best, *others = rows
    score, name = best["balanced_accuracy"], label(best["backbone"], best["weights"])
    said = (
        f"{name} has {100 * score['mean']:.1f} % balanced accuracy "
        f"({100 * score['low']:.1f} to {100 * score['high']:.1f})"
    )
    if not others:
        return f"{said}. It is the only one ranked: name others with --backbone."
    equal = [row for row in others if row["within_noise"]]
    if not equal:
        ahead = -100 * others[0]["difference"]["mean"]
        return f"{said}, {ahead:.1f} points ahead of the next, which is more than the noise."
    names = ", ".join(label(row["backbone"], row["weights"]) for row in equal)
    cheaper = [row for row in equal if row["latency_ms"] < QUICKER * best["latency_ms"]]
    hint = ""
    if cheaper:
        quick = min(cheaper, key=lambda row: float(row["latency_ms"]))
        hint = (
            f" {label(quick['backbone'], quick['weights'])} is quicker: {quick['latency_ms']:.1f} "
            f"ms an image instead of {best['latency_ms']:.1f}."
        )
    return f"{said}; these images cannot tell whether it is better than {names}.{hint}"
