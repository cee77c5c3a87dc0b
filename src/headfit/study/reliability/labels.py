"""How far a head for several labels can be trusted, from its held-out predictions.

Each label is a question with two answers, so it has a temperature, suspects and a threshold of its
own. The threshold is that of the highest F1 on the other folds; in the model that of all images.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import pdtrc

from headfit.fitting.label_metrics import THRESHOLD, average_precisions
from headfit.fitting.metrics import Floats, Ints
from headfit.images.targets import Targets
from headfit.study.reliability.calibration import TemperatureScaling, calibrate
from headfit.study.reliability.confidence import calibration_bins
from headfit.study.reliability.model_reliability import LabelReliability
from headfit.study.reliability.outliers import OutlierDetector
from headfit.study.reliability.suspects import (
    SUSPECTS_IN_RESULTS,
    ExpectedSuspects,
    Suspect,
    expect_suspects,
    find_suspects,
    suspects_csv,
)

# a threshold of fewer images is one half: the best F1 of a handful is chance
LEAST_IMAGES = 8


@dataclass(frozen=True)
class LabelReport:
    """Figures of one label, means over repeats; images count by weight.

    Attributes:
        name: of the label.
        images: number of images that have it.
        average_precision: of the held-out predictions, a fraction; None if no image has it.
        precision: share of the images predicted to have it that do, at the threshold of the other
            folds; None if none is.
        recall: share of the images that have it that are predicted to; None if none has it.
        f1: harmonic mean of both; None if no image has it or is predicted to.
        threshold: for the model, the probability from which on it is said to be there.
        temperature: for the model; 1 unless another was shown to help.
        log_loss_before: in nats.
        log_loss_after: the same, with the temperature of the other folds.
    """

    name: str
    images: int
    average_precision: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    threshold: float
    temperature: float
    log_loss_before: float
    log_loss_after: float


@dataclass(frozen=True, eq=False)
class LabelsAssessment:
    """How far a head for several labels can be trusted.

    Attributes:
        labels: figures of each label.
        micro_f1: over all pairs of image and label, at the thresholds of the other folds.
        macro_f1: mean F1 of the labels, likewise.
        cooccurrence: int (K, K), images that have both of two labels.
        bins: bins of the reliability diagram, over all pairs of image and label.
        detector: detects images that are unlike the training images.
        suspects: labels that look wrong, the most suspect first.
        expected: how many would if none were wrong.
    """

    labels: list[LabelReport]
    micro_f1: float
    macro_f1: float
    cooccurrence: Ints
    bins: list[dict[str, Any]]
    detector: OutlierDetector
    suspects: list[Suspect]
    expected: ExpectedSuspects

    def to_dict(self) -> dict[str, Any]:
        """Give the ``reliability`` object of ``results.json``: plain types, None where unknown."""
        return {
            "kind": "labels",
            "labels": [asdict(label) for label in self.labels],
            "micro_f1": self.micro_f1,
            "macro_f1": self.macro_f1,
            "cooccurrence": self.cooccurrence.tolist(),
            "bins": self.bins,
            "outliers": self.detector.to_data()[0],
            "suspects_found": len(self.suspects),
            "suspects_expected": asdict(self.expected),
            "suspects": [each.to_dict() for each in self.suspects[:SUSPECTS_IN_RESULTS]],
        }

    def suspects_csv(self) -> str:
        """Give the content of ``suspects.csv``: all suspects."""
        return suspects_csv(self.suspects)

    def for_model(self) -> LabelReliability:
        """Give the part that is stored in the finished model."""
        return LabelReliability(
            np.array([label.temperature for label in self.labels]),
            np.array([label.threshold for label in self.labels]),
            self.detector,
        )


def assess_labels(
    predictions: Floats,
    targets: Targets,
    splits: Ints,
    paths: list[str],
    detector: OutlierDetector,
    *,
    seed: int,
    groups: Ints | None = None,
) -> LabelsAssessment:
    """Assess a head from predictions that have been made already.

    Args:
        predictions: float64 (repeats, n, K), each image by the model that did not see it.
        targets: labels of the n images.
        splits: int (repeats, n), the fold of each image.
        paths: paths of the n images.
        detector: of images that are unlike these.
        seed: random seed of the simulations.
        groups: int (n,), equal for images that belong together; None if each stands alone.
    """
    values, weights = targets.values, targets.weights
    scalings = [
        calibrate(_answers(each), has, splits, groups, weights, seed=seed)
        for each, has in zip(np.moveaxis(predictions, 2, 0), values.T, strict=True)
    ]
    said = np.stack(
        [
            _crossed(each, values, fold, weights)
            for each, fold in zip(predictions, splits, strict=True)
        ]
    )
    counts = np.ones(len(targets)) if weights is None else weights
    tables = _Tables.of(said, values > 0, counts)
    reports = [
        _report(k, targets, predictions, tables, scaling) for k, scaling in enumerate(scalings)
    ]
    f1 = tables.f1(tables.hits, tables.said, tables.had)
    pooled = [each.sum() for each in (tables.hits, tables.said, tables.had)]
    suspects, expected = _suspects(predictions.mean(axis=0), targets, paths, groups, seed)
    return LabelsAssessment(
        reports,
        float(tables.f1(*pooled)),
        float(np.nanmean(f1)) if np.isfinite(f1).any() else 0.0,
        values.T.astype(np.int64) @ values,
        _bins(predictions, values, weights),
        detector,
        suspects,
        expected,
    )


def best_threshold(probabilities: Floats, has: np.ndarray, weights: Floats | None = None) -> float:
    """Find the probability from which on a label is said, for the highest F1.

    Args:
        probabilities: float64 (n,), of images not trained on.
        has: (n,), 1 where an image has the label, else 0.
        weights: float64 (n,), how much each image counts; None if all count alike.

    Returns:
        Midway between the last probability that is said and the next; one half if fewer than 8
        images have the label or lack it.

    Example:

    >>> best_threshold(np.linspace(0, 0.475, 20), np.arange(20) >= 10)
    0.2375
    """
    some = int(np.sum(has > 0))
    if min(some, len(has) - some) < LEAST_IMAGES:
        return THRESHOLD
    counts = np.ones(len(has)) if weights is None else weights
    order = np.argsort(-probabilities, kind="stable")
    falling, positive = probabilities[order], (counts * (has > 0))[order]
    found, said = np.cumsum(positive), np.cumsum(counts[order])
    # a cut lies after the last of equal probabilities
    cuts = np.flatnonzero(np.diff(falling, append=-1.0) < 0)
    f1 = 2 * found[cuts] / (said[cuts] + positive.sum())
    best = int(cuts[f1.argmax()])
    following = falling[best + 1] if best + 1 < len(falling) else 0.0
    return float((falling[best] + following) / 2)


@dataclass(frozen=True, eq=False)
class _Tables:
    """What is had, said and both, label by label, means over repeats: float64 (K,) each."""

    hits: Floats
    said: Floats
    had: Floats

    @classmethod
    def of(cls, said: np.ndarray, has: np.ndarray, counts: Floats) -> _Tables:
        return cls(
            np.einsum("n,rnk->k", counts, said & has) / len(said),
            np.einsum("n,rnk->k", counts, said) / len(said),
            counts @ has,
        )

    @staticmethod
    def f1(hits: Floats, said: Floats, had: Floats) -> Floats:
        with np.errstate(invalid="ignore"):
            result: Floats = 2 * hits / (said + had)
        return result


def _answers(probabilities: Floats) -> Floats:
    """Write probabilities of a label (…) as those of its absence and presence, (…, 2)."""
    return np.stack([1 - probabilities, probabilities], axis=-1)


def _crossed(
    predictions: Floats, values: np.ndarray, folds: Ints, weights: Floats | None
) -> np.ndarray:
    """Say which labels are there, bool (n, K), at the thresholds of the other folds."""
    said = np.empty(predictions.shape, bool)
    for fold in np.unique(folds):
        held = folds == fold
        others = None if weights is None else weights[~held]
        for k in range(values.shape[1]):
            threshold = best_threshold(predictions[~held, k], values[~held, k], others)
            said[held, k] = predictions[held, k] >= threshold
    return said


def _report(
    k: int, targets: Targets, predictions: Floats, tables: _Tables, scaling: TemperatureScaling
) -> LabelReport:
    has = targets.values[:, k]
    counts = (np.ones(len(has)) if targets.weights is None else targets.weights)[None]
    precise = [average_precisions(p[:, [k]], has[:, None], counts)[0] for p in predictions]
    thresholds = [best_threshold(each, has, targets.weights) for each in predictions[:, :, k]]
    hits, said, had = (float(each[k]) for each in (tables.hits, tables.said, tables.had))
    return LabelReport(
        targets.names[k],
        int(np.sum(has > 0)),
        float(np.mean(precise)) if had else None,
        hits / said if said else None,
        hits / had if had else None,
        2 * hits / (said + had) if said + had else None,
        float(np.median(thresholds)),
        scaling.value,
        scaling.log_loss_before,
        scaling.log_loss_after,
    )


def _suspects(
    averaged: Floats, targets: Targets, paths: list[str], groups: Ints | None, seed: int
) -> tuple[list[Suspect], ExpectedSuspects]:
    """Find labels that look wrong or missing.

    There are more than expected only if both are: some label has more than it would by chance
    (least p-value, times K), and so have all together (as counts of rare events are, Poisson).
    """
    found: list[Suspect] = []
    expected: list[ExpectedSuspects] = []
    for k, name in enumerate(targets.names):
        answers, has = _answers(averaged[:, k]), targets.values[:, k].astype(np.int64)
        found += find_suspects(answers, has, (f"not {name}", name), paths)
        expected.append(expect_suspects(answers, has, groups, seed=seed))
    found.sort(key=lambda suspect: -suspect.score)
    least = min(1.0, targets.count * min(each.p_value for each in expected))
    mean = float(sum(each.mean for each in expected))
    together = float(pdtrc(len(found) - 1, mean)) if found else 1.0
    return found, ExpectedSuspects(mean, max(least, together))


def _bins(predictions: Floats, values: np.ndarray, weights: Floats | None) -> list[dict[str, Any]]:
    repeats, n, labels = predictions.shape
    pairs = _answers(predictions).reshape(repeats, n * labels, 2)
    counted = None if weights is None else weights.repeat(labels)
    bins = calibration_bins(pairs, values.ravel().astype(np.int64), counted)
    return bins
