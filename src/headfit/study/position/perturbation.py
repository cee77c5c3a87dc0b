"""Measures how a trained head uses position: shuffled maps, projection onto gap, shifted images.

What a head uses is not what the task needs: flatten may use position where gap does as well.

Everything follows from one table for each held-out image, T_kpq = ⟨W_kp, F_q⟩: the logits are
Σ_p T_kpp, those of a map whose position p holds what was at π(p) are Σ_p T_kpπ(p), and their mean
over all permutations is Σ_pq T_kpq / P = ⟨Σ_p W_kp, F̄⟩, which is the head projected on gap: a
linear model of the mean feature with the weights w_k = Σ_p W_kp. What the logits have beyond it,
Σ_p⟨W_kp − W̄_k, F_p − F̄⟩, is the part that depends on position.

Logits of gap should hardly change when the image is moved, because a feature counts the same
wherever it is. The caveat is zero padding, which lets a network encode how near the border a
position is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from headfit.features.store import FeatureMaps
from headfit.fitting.problem import Problem
from headfit.images.targets import CLASS, LABELS, NUMBER
from headfit.study.comparison.compare import by_name, corrected_interval

DRAWS = 20
TABLE_BYTES = 64 * 1024**2


@dataclass(frozen=True)
class VarianceParts:
    """The variance of logits over images, z = common + position.

    Variances are summed over classes. The two parts are correlated, so their variances do not add
    up to that of z.

    Attributes:
        position: Var(position) / Var(z), of the part that depends on position; above 1 where the
            parts cancel.
        covariance: 2 Cov(common, position) / Var(z). The rest, 1 − position − covariance, is
            Var(common) / Var(z), of the part that does not depend on position.
    """

    position: float
    covariance: float

    @classmethod
    def of(
        cls, common: np.ndarray, position: np.ndarray, folds: np.ndarray | None = None
    ) -> VarianceParts:
        """Compare two parts of the logits.

        Args:
            common: float64 (n, K).
            position: float64 (n, K).
            folds: int (n,), which model an image's logits are of; variances are within those of
                one model. None if all are of one.
        """
        total = _variance(common + position, folds)
        if total == 0:
            return cls(0.0, 0.0)
        alone = _variance(position, folds)
        return cls(alone / total, (total - alone - _variance(common, folds)) / total)

    def to_dict(self) -> dict[str, float]:
        """Give the two shares, by their names in JSON."""
        return {"position_share": self.position, "covariance_share": self.covariance}


@dataclass(frozen=True)
class PositionUse:
    """Scores of a trained flatten head with and without position, on the folds of one repeat.

    A drop shows that this head uses position, not that the task needs it.

    Attributes:
        plain: float64 (folds,), the primary metric on maps as they are.
        shuffled: float64 (folds,), on maps shuffled image by image, the mean of 20 draws.
        projected: float64 (folds,), of the head projected onto gap.
        parts: how the variance of the logits is made up.
    """

    plain: np.ndarray
    shuffled: np.ndarray
    projected: np.ndarray
    parts: VarianceParts

    def to_dict(self, gap: np.ndarray) -> dict[str, Any]:
        """Give plain data.

        Args:
            gap: float64 (folds,), the primary metric of a gap head that was fitted directly.
        """
        return {
            "shuffle": {
                "draws": DRAWS,
                "plain": float(self.plain.mean()),
                "shuffled": float(self.shuffled.mean()),
                "drop": _interval(self.plain - self.shuffled),
            },
            "projection": {
                "projected": float(self.projected.mean()),
                "refitted": float(gap.mean()),
                "difference": _interval(self.projected - gap),
                **self.parts.to_dict(),
            },
        }


def position_use(
    maps: FeatureMaps, problem: Problem, kernels: np.ndarray, biases: np.ndarray, seed: int = 0
) -> PositionUse:
    """Measure on the held-out images of each fold, with that fold's model.

    Args:
        maps: of the n images.
        problem: labels and folds.
        kernels: float32 (folds, P·C, K), flatten's.
        biases: float32 (folds, K).
        seed: random seed of the permutations.
    """
    folds = problem.splits.folds
    scores = np.empty((3, folds))
    common, beyond = np.empty((2, len(problem.targets), problem.targets.count))
    for fold in range(folds):
        held = np.flatnonzero(problem.splits.assignment[0] == fold)
        rng = np.random.default_rng([seed, fold])
        plain, mean, shuffled = _logits(maps.subset(held), kernels[fold], biases[fold], rng)
        drawn = [problem.score_part(logits, held) for logits in shuffled]
        scores[:, fold] = (
            problem.score_part(plain, held),
            np.mean(drawn),
            problem.score_part(mean, held),
        )
        common[held], beyond[held] = (
            _that_counts(each, problem.targets.kind) for each in (mean, plain - mean)
        )
    parts = VarianceParts.of(common, beyond, problem.splits.assignment[0])
    return PositionUse(scores[0], scores[1], scores[2], parts)


def _logits(
    maps: FeatureMaps, kernel: np.ndarray, bias: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits (n, K) of maps as they are, their mean over permutations, and (draws, n, K)."""
    n, height, width, channels = maps.shape
    positions, classes = height * width, kernel.shape[1]
    weights = kernel.reshape(positions, channels, classes).transpose(1, 0, 2).reshape(channels, -1)
    plain, mean = np.empty((2, n, classes))
    shuffled = np.empty((DRAWS, n, classes))
    together = max(1, TABLE_BYTES // (4 * positions * positions * classes))
    unmoved = np.arange(positions)
    for start in range(0, n, together):
        rows = np.arange(start, min(start + together, n))
        pieces = [piece for _, piece in maps.subset(rows).chunks()]
        flat = np.concatenate(pieces).reshape(-1, channels)
        # [image, q, p, class]
        table = (flat @ weights).reshape(len(rows), positions, positions, classes)
        plain[rows] = table[:, unmoved, unmoved].sum(axis=1)
        mean[rows] = table.mean(axis=1).sum(axis=1)
        for draw in range(DRAWS):
            order = rng.permuted(np.tile(unmoved, (len(rows), 1)), axis=1)
            picked = table[np.arange(len(rows))[:, None], order, unmoved]
            shuffled[draw, rows] = picked.sum(axis=1)
    return plain + bias, mean + bias, shuffled + bias


def _that_counts(scores: np.ndarray, kind: str) -> np.ndarray:
    """Give the part of scores (n, K) that predictions depend on."""
    return among_classes(scores) if kind == CLASS else scores


def among_classes(logits: np.ndarray) -> np.ndarray:
    """Subtract the mean over classes from logits (n, K): it changes no prediction of softmax."""
    centred: np.ndarray = logits - logits.mean(axis=1, keepdims=True)
    return centred


def _variance(values: np.ndarray, folds: np.ndarray | None) -> float:
    """Variance over the images of a fold, summed over classes; the mean over all images."""
    names = [None] if folds is None else np.unique(folds)
    parts = (values if name is None else values[folds == name] for name in names)
    return float(sum(np.square(part - part.mean(axis=0)).sum() for part in parts)) / len(values)


def _interval(values: np.ndarray) -> dict[str, float | None]:
    return by_name(corrected_interval(values, len(values)))


@dataclass(frozen=True)
class ShiftCurve:
    """Effect of moving the image on one head.

    Attributes:
        pixels: distances by which the images were moved.
        change: float64 (images, pixels), ‖z − z'‖ of the logits z before and z' after, in units of
            the root mean square of ‖z‖ over images. Of classes the mean over them is subtracted
            first, because it changes no prediction; of numbers z is what is beyond the mean of
            the images.
        flipped: bool (images, pixels), whether the predicted class, or a label, changed; None for
            numbers, of which nothing is decided.
    """

    pixels: tuple[int, ...]
    change: np.ndarray
    flipped: np.ndarray | None

    @classmethod
    def of(cls, pixels: Sequence[int], logits: np.ndarray, kind: str = CLASS) -> ShiftCurve:
        """Compare scores, (images, 1 + pixels, K), of images where they were and moved."""
        middle = {
            CLASS: logits.mean(axis=2, keepdims=True),
            LABELS: np.zeros(1),
            NUMBER: logits[:, :1].mean(axis=0, keepdims=True),
        }
        centred = logits - middle[kind]
        before, after = centred[:, :1], centred[:, 1:]
        # one size for all images: that of an image between two classes may be next to nothing
        size = float(np.sqrt(np.mean(np.sum(np.square(before), axis=2))))
        change = np.linalg.norm(after - before, axis=2) / (size or 1.0)
        return cls(tuple(pixels), change, _flipped(before, after, kind))

    def to_list(self) -> list[dict[str, Any]]:
        """Give the curve as plain data, a point for each distance."""
        return [
            {
                "pixels": distance,
                "change": _mean_interval(self.change[:, number]),
                "flipped": None if self.flipped is None else float(self.flipped[:, number].mean()),
            }
            for number, distance in enumerate(self.pixels)
        ]


def _flipped(before: np.ndarray, after: np.ndarray, kind: str) -> np.ndarray | None:
    """Say whether the decision on scores (…, K) changed; None where there is none."""
    if kind == NUMBER:
        return None
    flipped: np.ndarray
    if kind == LABELS:
        flipped = ((before > 0) != (after > 0)).any(axis=2)
    else:
        flipped = before.argmax(axis=2) != after.argmax(axis=2)
    return flipped


def _mean_interval(values: np.ndarray) -> dict[str, float | None]:
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return {"mean": mean, "low": None, "high": None}
    reach = float(stdtrit(n - 1, 0.975)) * float(values.std(ddof=1)) / math.sqrt(n)
    return {"mean": mean, "low": max(0.0, mean - reach), "high": mean + reach}
