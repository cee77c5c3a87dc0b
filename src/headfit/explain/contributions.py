"""What each position adds to an output, exactly, for poolings whose vector is a sum over positions.

With v the pooled vector and w the weights of a class, ⟨w, v⟩ = Σ_p c_p for every rule here, so the
c_p and the bias sum to the logit, or to the number that is predicted. What may be called exact
differs, and the rule says it:

- the pooling is linear in the map: gap, flatten, spatial_prior, spp, low_rank;
- it is linear given which position holds the maximum of each channel: gmp, avgmax;
- it is linear given how much attention each position gets: attention, multi_query, simpool;
- it is a sum over positions given their shares in the centres and the lengths that it divides by:
  netvlad (its gradient × map is 0, since a position's length makes no difference);
- it is homogeneous of degree 1, so that by Euler's theorem gradient × map sums to it: gem.

Sources: gap's are the class activation maps of Zhou 2016; the others follow from the formulas in
:mod:`headfit.heads.layers`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from headfit.heads.body import BATCH_NORM_EPSILON, BatchNorm, Dense, Dropout, Step
from headfit.heads.layers.attention import Attention
from headfit.heads.layers.gem import LEAST_P, Gem, floor
from headfit.heads.layers.low_rank import LowRank
from headfit.heads.layers.multi_query import MultiQuery
from headfit.heads.layers.netvlad import EPSILON as LENGTH_EPSILON
from headfit.heads.layers.netvlad import NetVlad
from headfit.heads.layers.plain import AvgMax, Flatten, Gap, Gmp
from headfit.heads.layers.simpool import EPSILON as LAYER_NORM_EPSILON
from headfit.heads.layers.simpool import SimPool
from headfit.heads.layers.spatial_prior import SpatialPrior
from headfit.heads.layers.spp import CELLS, SpatialPyramid, cell_matrix
from headfit.heads.pooling import MapShape, Pooling
from headfit.heads.trained import softmax

Floats = npt.NDArray[np.float64]

EXACT = "exact"
GIVEN_MAXIMUM = "exact given where the maxima are"
GIVEN_ATTENTION = "exact given the attention"
GIVEN_SHARES = "exact given the shares and the lengths"
HOMOGENEOUS = "gradient × map, exact in sum"


@dataclass(frozen=True)
class Case:
    """What a rule needs.

    Attributes:
        maps: (n, P, C), the positions row by row.
        weights: (n, width), of each image those of the class in question; (n, 0) where the pooling
            gives the logits.
        targets: int (n,), the class in question.
        arrays: of the pooling.
        shape: a parameter of the pooling that is not among its arrays; 0 if there is none.
        map_shape: height, width and channels.
    """

    maps: Floats
    weights: Floats
    targets: npt.NDArray[np.int64]
    arrays: Sequence[Floats]
    shape: float
    map_shape: MapShape


Rule = Callable[[Case], Floats]


def rule_of(pooling: Pooling) -> tuple[str, Rule] | None:
    """Find how a pooling's contributions are computed.

    Returns:
        In what sense they are exact, and the rule, from a case to float64 (n, P); None for a
        pooling that has no such rule.
    """
    return next((_RULES[kind] for kind in type(pooling).__mro__ if kind in _RULES), None)


def _by_position(maps: Floats, weights: Floats) -> Floats:
    return cast(Floats, np.einsum("npc,npc->np", maps, weights))


def _alike(maps: Floats, weights: Floats) -> Floats:
    """⟨w, F_p⟩, the same w (n, C) at all positions."""
    return cast(Floats, np.einsum("npc,nc->np", maps, weights))


def _average(case: Case) -> Floats:
    return cast(Floats, _alike(case.maps, case.weights) / case.maps.shape[1])


def _flatten(case: Case) -> Floats:
    return _by_position(case.maps, case.weights.reshape(case.maps.shape))


def _spatial_prior(case: Case) -> Floats:
    share = np.sqrt(1 - case.shape)
    weights = case.weights.reshape(case.maps.shape)
    # of the mean, which every position is drawn towards, each position holds a P-th
    return _by_position(case.maps, share * weights + (1 - share) * weights.mean(1, keepdims=True))


def _pyramid(case: Case) -> Floats:
    height, width, channels = case.map_shape
    by_cell = case.weights.reshape(-1, CELLS, channels)
    cells = cell_matrix(height, width).astype(np.float64)
    return _by_position(case.maps, np.einsum("bp,nbc->npc", cells, by_cell))


def _low_rank(case: Case) -> Floats:
    where, what = (array[case.targets] for array in case.arrays)
    products = np.einsum("npc,nrc->nrp", case.maps, what)
    return cast(Floats, np.sum(products * where, axis=1) / case.maps.shape[1])


def _maximum(maps: Floats, weights: Floats) -> Floats:
    places = maps.argmax(axis=1)
    sums = np.zeros(maps.shape[:2])
    np.add.at(sums, (np.arange(len(maps))[:, None], places), weights * maps.max(axis=1))
    return sums


def _average_and_maximum(case: Case) -> Floats:
    average, maximum = np.split(case.weights, 2, axis=1)
    mean = _alike(case.maps, average) / case.maps.shape[1]
    return cast(Floats, mean + _maximum(case.maps, maximum))


def _attention(case: Case) -> Floats:
    (query,) = case.arrays
    shares = softmax(np, case.maps @ (query / len(query)), axis=1)
    return cast(Floats, shares * _alike(case.maps, case.weights))


def _multi_query(case: Case) -> Floats:
    queries, values = case.arrays
    count, channels = queries.shape
    shares = softmax(np, case.maps @ (queries.T / channels), axis=1)
    slices = (values * channels**-0.5).reshape(channels, count, channels // count)
    weights = case.weights.reshape(-1, count, channels // count)
    backward = np.einsum("cms,nms->nmc", slices, weights)
    return cast(Floats, np.sum(shares * np.einsum("npc,nmc->npm", case.maps, backward), axis=2))


def _simpool(case: Case) -> Floats:
    query, key, gain, offset = case.arrays
    centred = case.maps - case.maps.mean(axis=2, keepdims=True)
    variance = np.mean(centred**2, axis=2, keepdims=True)
    normal = centred / np.sqrt(variance + LAYER_NORM_EPSILON)
    asked = case.maps.mean(axis=1) @ query.T @ key * (gain * len(gain) ** -2.0)
    shares = softmax(np, _alike(normal, asked), axis=1)
    return cast(Floats, shares * _alike(normal * gain + offset, case.weights))


def _netvlad(case: Case) -> Floats:
    assign, bias, centres = case.arrays
    unit = case.maps / _lengths(case.maps)
    shares = softmax(np, unit @ assign + bias, axis=2)
    residuals = np.einsum("npm,npc->nmc", shares, unit) - shares.sum(axis=1)[..., None] * centres
    lengths = _lengths(residuals)
    total = _lengths((residuals / lengths).reshape(len(unit), -1))
    weights = case.weights.reshape(residuals.shape) / lengths / total[..., None]
    weights *= centres.size**0.5
    products = np.einsum("npc,nmc->npm", unit, weights) - np.sum(weights * centres, axis=2)[:, None]
    return cast(Floats, np.sum(shares * products, axis=2))


def _lengths(vectors: Floats) -> Floats:
    return cast(Floats, np.sqrt(np.sum(vectors**2, axis=-1, keepdims=True) + LENGTH_EPSILON))


def _power_mean(case: Case) -> Floats:
    p = max(float(case.arrays[0]), LEAST_P)
    clamped = np.maximum(case.maps, floor(case.maps.max(axis=(1, 2), keepdims=True)))
    largest = clamped.max(axis=1, keepdims=True)
    raised = (clamped / largest) ** p
    pooled = largest[:, 0] * raised.mean(axis=1) ** (1 / p)
    return _alike(raised / raised.sum(axis=1, keepdims=True), case.weights * pooled)


_RULES: dict[type, tuple[str, Rule]] = {
    Gap: (EXACT, _average),
    Flatten: (EXACT, _flatten),
    SpatialPrior: (EXACT, _spatial_prior),
    SpatialPyramid: (EXACT, _pyramid),
    LowRank: (EXACT, _low_rank),
    Gmp: (GIVEN_MAXIMUM, lambda case: _maximum(case.maps, case.weights)),
    AvgMax: (GIVEN_MAXIMUM, _average_and_maximum),
    Attention: (GIVEN_ATTENTION, _attention),
    MultiQuery: (GIVEN_ATTENTION, _multi_query),
    SimPool: (GIVEN_ATTENTION, _simpool),
    NetVlad: (GIVEN_SHARES, _netvlad),
    Gem: (HOMOGENEOUS, _power_mean),
}
"""Class of a pooling → in what sense its contributions are exact, and their rule."""


def is_affine(body: Sequence[Step]) -> bool:
    """Tell whether the steps have no activation; dropout does nothing in inference."""
    return all(not isinstance(step, Dense) or step.activation == "linear" for step in body)


def joined(body: Sequence[Step], arrays: Sequence[np.ndarray]) -> tuple[Floats | None, Floats]:
    """Join affine steps and the final layer to logits = v W + b.

    From the last step to the first, so that no matrix is larger than the first step's.

    Args:
        body: steps for which :func:`is_affine` holds.
        arrays: of the steps in turn, then kernel and bias of the final layer, or its bias alone
            where the pooling gives a logit for each class.

    Returns:
        W (width, K), None where the pooling gives the logits; b (K,). float64.
    """
    rest = [np.asarray(array, np.float64) for array in arrays]
    bias = rest.pop()
    if not rest:
        return None, bias
    matrix = rest.pop()
    for step in reversed(body):
        if isinstance(step, Dropout):
            continue
        if isinstance(step, BatchNorm):
            gamma, beta, mean, variance = rest[-4:]
            del rest[-4:]
            scale = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
            bias = (beta - mean * scale) @ matrix + bias
            matrix = scale[:, None] * matrix
        else:
            kernel, offset = rest[-2:]
            del rest[-2:]
            bias, matrix = offset @ matrix + bias, kernel @ matrix
    return matrix, bias
