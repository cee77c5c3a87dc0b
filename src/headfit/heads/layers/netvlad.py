"""NetVLAD: how the positions lie around M centres.

V_m = Σ_p a_pm (f_p − c_m) with f_p = F_p/‖F_p‖ and a_p = softmax_m(⟨w_m, f_p⟩ + b_m); each V_m is
normalised to length 1 and so is their concatenation, float (n, H, W, C) → (n, MC). w, c and b have
2MC + M numbers, so a head for K classes has 2MC + M + MCK weights and K biases. Source:
Arandjelović 2016.

The initial weights are those of the source: c from k-means on the positions of the training images,
w_m = 2αc_m and b_m = −α‖c_m‖², with α such that the nearest centre of a position has about 100
times the share of the next. Two things differ: M is 8, not 64, for small data, and the output is
multiplied by √(MC), so that a feature has mean square 1, which suits gradient descent on the next
layer.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from headfit.errors import UsageError
from headfit.heads.pooling import Floats, MapShape
from headfit.heads.trained import Array, Sample, Shapes, TrainedPooling, softmax

EPSILON = 1e-12  # added to squared lengths
MOST = 4096  # positions used by k-means
RATIO = 100.0  # share of the nearest centre over that of the next
LEAST_GAP = 1e-3  # of squared distances, if two centres coincide


ROUNDS = 20  # of k-means
Points = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class NetVlad(TrainedPooling):
    """Residuals to M centres, to which each position is assigned softly.

    Attributes:
        clusters: M, at least 2.
    """

    # weight decay would draw the centres towards 0
    arrays: ClassVar[Mapping[str, bool]] = {"assign": False, "bias": False, "centres": False}
    data_start: ClassVar[bool] = True
    clusters: int = 8

    def __post_init__(self) -> None:
        if self.clusters < 2:
            raise UsageError.invalid("clusters", self.clusters, "an integer of at least 2")

    def forward(self, xp: Any, maps: Array, weights: Sequence[Array]) -> Array:
        """Pool maps (n, P, C) with w (C, M), b (M,) and c (M, C) to (n, MC)."""
        assign, bias, middles = weights
        count, channels = middles.shape
        unit = _unit(xp, maps, axis=2)
        shares = softmax(xp, xp.matmul(unit, assign) + bias, axis=2)
        total = xp.reshape(xp.sum(shares, axis=1), (-1, count, 1))
        residuals = xp.matmul(xp.transpose(shares, (0, 2, 1)), unit) - total * middles
        flat = xp.reshape(_unit(xp, residuals, axis=2), (-1, count * channels))
        return _unit(xp, flat, axis=1) * math.sqrt(count * channels)

    def _width(self, map_shape: MapShape) -> int:
        return self.clusters * map_shape[2]

    def _shapes(self, map_shape: MapShape, classes: int) -> Shapes:
        count, channels = self.clusters, map_shape[2]
        return (channels, count), (count,), (count, channels)

    def _initial(
        self, shapes: Shapes, rng: np.random.Generator, sample: Sample | None
    ) -> Sequence[Floats]:
        count, channels = shapes[2]
        if sample is None:
            points = np.abs(rng.standard_normal((32 * count, channels)))
        else:
            points = sample.maps.reshape(-1, channels)
            chosen = rng.permutation(len(points))[:MOST]
            points = points[np.sort(chosen)].astype(np.float64)
        points = _unit(np, points, axis=1)
        middles = centres(points, count, rng)
        nearest = np.sort(squared_distances(points, middles), axis=1)
        gap = max(float(np.mean(nearest[:, 1] - nearest[:, 0])), LEAST_GAP)
        sharpness = math.log(RATIO) / gap
        return 2 * sharpness * middles.T, -sharpness * np.sum(middles**2, axis=1), middles


def _unit(xp: Any, vectors: Array, axis: int) -> Array:
    return vectors / xp.sqrt(xp.sum(xp.square(vectors), axis=axis, keepdims=True) + EPSILON)


def centres(points: Points, count: int, rng: np.random.Generator) -> Points:
    """Find centres of points: k-means++ seeds, then 20 rounds of Lloyd's algorithm.

    Args:
        points: float64 (n, d), n at least 1; with fewer than ``count`` distinct points some centres
            are equal.
        count: number of centres, at least 1.
        rng: draws the seeds.

    Returns:
        float64 (count, d).
    """
    from scipy.cluster.vq import kmeans2  # noqa: PLC0415  (heavy)

    seeds = _seeds(points, count, rng)
    with warnings.catch_warnings():
        # a centre that lost all its points stays where it is
        warnings.filterwarnings("ignore", "One of the clusters is empty")
        means: Points = kmeans2(points, seeds, ROUNDS, minit="matrix", check_finite=False)[0]
    return means


def squared_distances(points: Points, others: Points) -> Points:
    """Give ‖x − c‖², float (n, count), none negative."""
    products = points @ others.T
    lengths = np.sum(points**2, axis=1)[:, None] + np.sum(others**2, axis=1)
    distances: Points = np.maximum(lengths - 2 * products, 0)
    return distances


def _seeds(points: Points, count: int, rng: np.random.Generator) -> Points:
    """Draw points, each with a probability proportional to the squared distance from those drawn.

    By hand: scipy draws from a generator of its own, scikit-learn the best of several candidates.
    """
    chosen = [int(rng.integers(len(points)))]
    while len(chosen) < count:
        distances = squared_distances(points, points[chosen]).min(axis=1)
        total = distances.sum()
        chances = distances / total if total > 0 else None
        chosen.append(int(rng.choice(len(points), p=chances)))
    return points[chosen].copy()


NETVLAD = NetVlad(
    "netvlad",
    "normed concat_m Σ_p a_pm (f_p − c_m), f = F/‖F‖, a_p = softmax_m(⟨w_m, f_p⟩ + b_m)",
    "Arandjelović 2016",
)
