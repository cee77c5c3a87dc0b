"""Contributions sum to the class's product with the pooled vector, pooling by pooling."""

from __future__ import annotations

import numpy as np
import pytest

from headfit.explain.contributions import Case, is_affine, joined, rule_of
from headfit.heads.chain import parse_head
from headfit.heads.pooling import find_pooling, pooling_names
from headfit.heads.trained import TrainedPooling

N, H, W, C, K = 3, 5, 4, 16, 4
SHAPES = {"spatial_prior": 0.3, "gem": 2.5}
WITHOUT_RULE = {"lse", "covariance"}
RULED = [name for name in pooling_names() if name not in WITHOUT_RULE]


def _case(name: str, seed: int = 0) -> tuple[Case, np.ndarray]:
    """Random maps and weights, and the logits without bias that the pooling itself gives."""
    rng = np.random.default_rng(seed)
    pooling = find_pooling(name)
    maps = np.abs(rng.normal(size=(N, H, W, C)))
    targets = rng.integers(0, K, N)
    shape = SHAPES.get(name)
    arrays = []
    flat = maps.reshape(N, H * W, C)
    if isinstance(pooling, TrainedPooling):
        sizes = [weight.shape for weight in pooling.weights((H, W, C), K)]
        arrays = [3 * rng.normal(size=size) for size in sizes]
        vectors = np.asarray(pooling.forward(np, flat, arrays))
    else:
        vectors = pooling.pool(maps.astype(np.float32), shape)
        arrays = [np.array(shape)] if pooling.trainable else []
    if vectors.shape[1] == K and not pooling.width((H, W, C)):
        return _made(flat, np.zeros((N, 0)), targets, arrays, shape), vectors[range(N), targets]
    matrix = rng.normal(size=(vectors.shape[1], K))
    weights = matrix.T[targets]
    return _made(flat, weights, targets, arrays, shape), np.sum(vectors * weights, axis=1)


def _made(flat, weights, targets, arrays, shape) -> Case:
    return Case(flat, weights, targets, arrays, shape or 0.0, (H, W, C))


@pytest.mark.parametrize("name", RULED)
def test_contributions_sum_to_the_logit_without_its_bias(name: str) -> None:
    case, expected = _case(name)
    found = rule_of(find_pooling(name))
    assert found is not None
    sums = found[1](case)
    assert sums.shape == (N, H * W)
    assert np.abs(sums.sum(axis=1) - expected).max() <= 1e-4 * np.abs(expected).max()
    # not one value for all: positions differ
    assert np.ptp(sums, axis=1).min() > 0


@pytest.mark.parametrize("name", sorted(WITHOUT_RULE))
def test_the_others_have_no_rule(name: str) -> None:
    assert rule_of(find_pooling(name)) is None


def test_a_position_of_zeros_contributes_nothing_to_flatten() -> None:
    case, _ = _case("flatten")
    case.maps[:, 7] = 0
    rule = rule_of(find_pooling("flatten"))
    assert rule is not None
    assert np.flatnonzero((rule[1](case) == 0).all(axis=0)).tolist() == [7]


def test_gap_shares_its_mean_out_by_position() -> None:
    case, _ = _case("gap")
    rule = rule_of(find_pooling("gap"))
    assert rule is not None
    expected = np.einsum("npc,nc->np", case.maps, case.weights) / (H * W)
    np.testing.assert_allclose(rule[1](case), expected)


def test_affine_steps_are_joined() -> None:
    rng = np.random.default_rng(0)
    body = parse_head("gap-bn-dropout0.5-5:linear-bn").body
    shapes = [(C,)] * 4 + [(C, 5), (5,)] + [(5,)] * 4 + [(5, K), (K,)]
    arrays = [np.abs(rng.normal(size=shape)) for shape in shapes]
    x = rng.normal(size=(N, C))
    hidden = _normed(x, arrays[:4]) @ arrays[4] + arrays[5]
    expected = _normed(hidden, arrays[6:10]) @ arrays[10] + arrays[11]
    matrix, bias = joined(body, arrays)
    assert matrix is not None
    np.testing.assert_allclose(x @ matrix + bias, expected)


def _normed(x: np.ndarray, arrays: list[np.ndarray]) -> np.ndarray:
    gamma, beta, mean, variance = arrays
    return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta


@pytest.mark.parametrize(
    ("chain", "expected"),
    [("gap", True), ("gap-bn-dropout0.2", True), ("gap-8:linear", True), ("gap-8", False)],
)
def test_an_activation_ends_it(chain: str, expected: bool) -> None:
    assert is_affine(parse_head(chain).body) is expected
