"""How far a head for numbers can be trusted, from its held-out predictions.

An interval is a prediction ± q, with q the ⌈(n + 1) · level⌉-th smallest of n absolute residuals of
images that the model did not see (split-conformal prediction: Papadopoulos 2002; Lei, G'Sell,
Rinaldo, Tibshirani, Wasserman 2018). For one more image, exchangeable with them, it holds the
number with probability at least ``level``, whatever the head and the data. The residuals are those
of cross-validation, so the guarantee of the finished model is approximate; ``coverage`` is what
was measured, with the q of the other folds.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from headfit.fitting.metrics import Floats, Ints
from headfit.fitting.number_metrics import MAD_TO_STD, columns_r2, mae, rmse
from headfit.images.targets import SEPARATOR, Targets
from headfit.study.comparison.compare import or_none
from headfit.study.comparison.proportions import share_of
from headfit.study.reliability.conformal import LEVEL, quantile
from headfit.study.reliability.held_out_points import held_out_points
from headfit.study.reliability.model_reliability import NumberReliability
from headfit.study.reliability.outliers import OutlierDetector
from headfit.study.reliability.suspects import SUSPECTS_IN_RESULTS
from headfit.util.csv_cells import csv_text

# a residual is suspect from so many robust standard deviations on: one of a million by chance, if
# residuals are normal
SUSPECT = 5.0


@dataclass(frozen=True)
class NumberInterval:
    """The interval of one column, and its effect on images that took no part in choosing it.

    Attributes:
        half_width: q for the model, in the column's own units; None if there are too few images.
        coverage: share of the images whose interval held their number.
        coverage_low: lower end of its 95 % interval, which counts independent groups.
        coverage_high: upper end.
    """

    half_width: float | None
    coverage: float
    coverage_low: float
    coverage_high: float


@dataclass(frozen=True)
class NumberReport:
    """Figures of one column, means over repeats, in its own units.

    Attributes:
        name: of the column.
        r2: share of its variance that is explained out of fold; None if it does not vary.
        mae: mean absolute error.
        rmse: root of the mean squared error.
        mean: of the true numbers.
        std: their standard deviation.
        low: the least of them.
        high: the greatest.
    """

    name: str
    r2: float | None
    mae: float
    rmse: float
    mean: float
    std: float
    low: float
    high: float


@dataclass(frozen=True)
class NumberSuspect:
    """An image whose numbers are far from what is predicted.

    Attributes:
        path: path of the image, as in the index.
        label: its numbers.
        suggested: what the head predicts.
        score: largest residual of a column, in robust standard deviations of its residuals.
    """

    path: str
    label: str
    suggested: str
    score: float


@dataclass(frozen=True, eq=False)
class NumbersAssessment:
    """How far a head for numbers can be trusted.

    Attributes:
        level: share of the images whose interval should hold their number.
        intervals: of each column.
        columns: figures of each column.
        detector: detects images that are unlike the training images.
        suspects: images whose numbers look wrong, the most suspect first.
        points: true and predicted numbers of some images; see :func:`held_out_points`.
    """

    level: float
    intervals: list[NumberInterval]
    columns: list[NumberReport]
    detector: OutlierDetector
    suspects: list[NumberSuspect]
    points: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Give the ``reliability`` object of ``results.json``: plain types, None where unknown."""
        return {
            "kind": "number",
            "intervals": {
                "level": self.level,
                "half_widths": [each.half_width for each in self.intervals],
                "coverage": [each.coverage for each in self.intervals],
                "low": [each.coverage_low for each in self.intervals],
                "high": [each.coverage_high for each in self.intervals],
            },
            "columns": [asdict(column) for column in self.columns],
            "points": self.points,
            "outliers": self.detector.to_data()[0],
            "suspects_found": len(self.suspects),
            "suspects": [asdict(each) for each in self.suspects[:SUSPECTS_IN_RESULTS]],
        }

    def suspects_csv(self) -> str:
        """Give the content of ``suspects.csv``: all suspects."""
        rows = ([s.path, s.label, s.suggested, f"{s.score:.6f}"] for s in self.suspects)
        return csv_text([["path", "label", "suggested", "score"], *rows])

    def for_model(self) -> NumberReliability:
        """Give the part that is stored in the finished model."""
        widths = [math.inf if i.half_width is None else i.half_width for i in self.intervals]
        return NumberReliability(self.level, np.array(widths), self.detector)


def assess_numbers(
    predictions: Floats,
    targets: Targets,
    splits: Ints,
    paths: list[str],
    detector: OutlierDetector,
    *,
    groups: Ints | None = None,
    level: float = LEVEL,
) -> NumbersAssessment:
    """Assess a head from predictions that have been made already.

    Args:
        predictions: float64 (repeats, n, K), each image by the model that did not see it.
        targets: numbers of the n images.
        splits: int (repeats, n), the fold of each image.
        paths: paths of the n images.
        detector: of images that are unlike these.
        groups: int (n,), equal for images that belong together; None if each stands alone.
        level: the coverage to aim at, between 0 and 1.
    """
    residuals = np.abs(predictions - targets.values)
    return NumbersAssessment(
        level,
        [
            _interval(residuals[:, :, k], splits, groups, targets.weights, level)
            for k in range(targets.count)
        ],
        [_report(k, targets, predictions) for k in range(targets.count)],
        detector,
        _suspects(predictions.mean(axis=0), targets, paths),
        held_out_points(predictions, targets.values),
    )


def half_width(residuals: Floats, level: float = LEVEL, weights: Floats | None = None) -> float:
    """Give q of absolute residuals, float64 (n,); ∞ if there are too few images."""
    return quantile(residuals, level, weights, beyond=math.inf)


def _interval(
    residuals: Floats, folds: Ints, groups: Ints | None, weights: Floats | None, level: float
) -> NumberInterval:
    covered = np.empty(residuals.shape)
    for repeat, (each, fold) in enumerate(zip(residuals, folds, strict=True)):
        for number in np.unique(fold):
            held = fold == number
            others = None if weights is None else weights[~held]
            covered[repeat, held] = each[held] <= half_width(each[~held], level, others)
    width = float(np.median([half_width(each, level, weights) for each in residuals]))
    share = share_of(covered.mean(axis=0), groups, weights)
    return NumberInterval(or_none(width), share.mean, share.low, share.high)


def _report(k: int, targets: Targets, predictions: Floats) -> NumberReport:
    truth, weights = targets.values[:, [k]], targets.weights
    counts = (np.ones(len(truth)) if weights is None else weights)[None]
    explained = [columns_r2(each[:, [k]], truth, counts)[0, 0] for each in predictions]
    absolute = [mae(each[:, [k]], truth, weights) for each in predictions]
    squared = [rmse(each[:, [k]], truth, weights) for each in predictions]
    return NumberReport(
        targets.names[k],
        or_none(float(np.mean(explained))),
        float(np.mean(absolute)),
        float(np.mean(squared)),
        float(np.average(truth[:, 0], weights=weights)),
        float(truth.std()),
        float(truth.min()),
        float(truth.max()),
    )


def _suspects(averaged: Floats, targets: Targets, paths: list[str]) -> list[NumberSuspect]:
    residuals = averaged - targets.values
    middle = np.median(residuals, axis=0)
    spread = MAD_TO_STD * np.median(np.abs(residuals - middle), axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = np.where(spread > 0, np.abs(residuals - middle) / spread, 0.0).max(axis=1)
    order = np.argsort(-scores, kind="stable")
    return [
        NumberSuspect(
            paths[row],
            targets.label(row),
            SEPARATOR.join(f"{value:.6g}" for value in averaged[row]),
            float(scores[row]),
        )
        for row in order.tolist()
        if scores[row] > SUSPECT
    ]
