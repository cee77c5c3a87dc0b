from __future__ import annotations

import numpy as np
import pytest

from headfit.features.store import FeatureStore
from headfit.fitting.coordinates import of_features, of_gram, position_gram

SHAPES = [(40, 12), (30, 30), (25, 31), (24, 300)]


def random_features(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Like activations: non-negative, channels of very different size."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.normal(size=d))
    return np.maximum(sizes * (rng.normal(size=(n, d)) + 0.3), 0).astype(np.float32)


def gram(features: np.ndarray) -> np.ndarray:
    centred = features - features.mean(axis=0, dtype=np.float64)
    return centred @ centred.T


def full(triangle: np.ndarray) -> np.ndarray:
    return np.triu(triangle) + np.triu(triangle, 1).T


def assert_rotation_of(coordinates, features: np.ndarray) -> None:
    """Z has the Gram matrix of the features up to one number, orthogonal columns, and size n."""
    n, z = len(features), coordinates.z
    wanted = gram(features)
    np.testing.assert_allclose(z @ z.T, wanted * n / np.trace(wanted), atol=2e-5)
    moments = z.T @ z / n
    np.testing.assert_allclose(np.diag(moments), coordinates.moments, atol=1e-6)
    np.testing.assert_allclose(moments, np.diag(np.diag(moments)), atol=1e-6)
    assert np.trace(moments) == pytest.approx(1.0, rel=1e-5)
    assert (np.diff(coordinates.moments) <= 0).all()
    np.testing.assert_allclose(z.sum(axis=0), 0, atol=1e-3)


def assert_back_to_features(coordinates, features: np.ndarray, atol: float = 1e-4) -> None:
    rng = np.random.default_rng(1)
    kernel, bias = rng.normal(size=(coordinates.z.shape[1], 3)), rng.normal(size=3)
    raw, raw_bias = coordinates.to_features(kernel, bias)
    assert raw.shape == (features.shape[1], 3)
    np.testing.assert_allclose(
        features.astype(np.float64) @ raw + raw_bias, coordinates.z @ kernel + bias, atol=atol
    )


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_rotated_features_keep_all_inner_products(n, d):
    features = random_features(n, d)
    coordinates = of_features(features)
    assert coordinates.z.shape == (n, min(n - 1, d))
    assert_rotation_of(coordinates, features)


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_a_linear_map_of_the_coordinates_is_one_of_the_features(n, d):
    features = random_features(n, d)
    assert_back_to_features(of_features(features), features)


def test_features_may_be_of_any_size_and_far_from_zero():
    features = random_features(40, 12)
    plain = of_features(features)
    for factor, shift in ((1e-4, 0), (1e4, 0), (1, 100)):
        changed = of_features(np.float32(factor) * features + np.float32(shift))
        np.testing.assert_allclose(changed.z @ changed.z.T, plain.z @ plain.z.T, atol=1e-3)
        assert_back_to_features(changed, np.float32(factor) * features + np.float32(shift), 1e-3)


@pytest.fixture
def maps(tmp_path):
    """Stored maps, float16, in another order than the store's, and what they hold."""
    store = FeatureStore(tmp_path)
    given = random_features(30, 3 * 2 * 12).reshape(30, 3, 2, 12)
    for start in (0, 17):
        part = given[start : start + 17]
        store.append([str(i) for i in range(start, start + len(part))], part)
    maps = store.maps([str(i) for i in reversed(range(30))])
    return maps, np.concatenate([piece for _, piece in maps.chunks()]).reshape(30, -1)


def positions(maps):
    return (maps.position(row, column) for row in range(3) for column in range(2))


def test_the_gram_matrix_by_positions_is_that_of_the_flat_maps(maps):
    stored, flat = maps
    ticks = []
    total, mean = position_gram(positions(stored), lambda: ticks.append(1))
    np.testing.assert_allclose(full(total), gram(flat), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(mean, flat.mean(axis=0, dtype=np.float64))
    assert len(ticks) == 6


def test_weights_of_flatten_come_back_from_the_stored_maps(maps):
    stored, flat = maps
    total, mean = position_gram(positions(stored))
    coordinates = of_gram(total, mean, stored.chunks)
    assert_rotation_of(coordinates, flat)
    assert_back_to_features(coordinates, flat)


def test_positions_are_left_as_they_were():
    values = random_features(5, 4)
    before = values.copy()
    position_gram(iter([values]))
    np.testing.assert_array_equal(values, before)


def test_no_positions_is_an_error():
    with pytest.raises(ValueError, match="no positions"):
        position_gram(iter(()))


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_duplicate_images_and_constant_features_cost_rank_and_nothing_else(n, d):
    features = random_features(n, d)
    features[n // 2 : 2 * (n // 2)] = features[: n // 2]
    features[:, ::3] = 0.1
    coordinates = of_features(features)
    assert coordinates.z.shape[1] <= np.linalg.matrix_rank(gram(features)) + 1
    assert_rotation_of(coordinates, features)
    assert_back_to_features(coordinates, features)
    half = n // 2
    np.testing.assert_allclose(coordinates.z[:half], coordinates.z[half : 2 * half], atol=1e-5)


@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("value", [0.0, 0.1, -3e4])
def test_features_that_never_change_leave_no_coordinates(n, d, value):
    features = np.full((n, d), value, np.float32)
    coordinates = of_features(features)
    assert coordinates.z.shape == (n, 0)
    raw, bias = coordinates.to_features(np.zeros((0, 2)), np.array([1.0, 2.0]))
    np.testing.assert_array_equal(raw, np.zeros((d, 2)))
    np.testing.assert_array_equal(bias, [1.0, 2.0])
