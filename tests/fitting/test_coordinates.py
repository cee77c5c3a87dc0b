from __future__ import annotations

import numpy as np
import pytest

from headfit.errors import EngineError
from headfit.features.store import FeatureStore
from headfit.fitting.exact import coordinates as module
from headfit.fitting.exact.coordinates import centred_gram, of_blocks, of_features

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
    return np.tril(triangle) + np.tril(triangle, -1).T


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
    total, mean = centred_gram(positions(stored), 30)
    np.testing.assert_allclose(full(total), gram(flat), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(mean, flat.mean(axis=0, dtype=np.float64))


def test_weights_of_flatten_come_back_from_the_stored_maps(maps):
    stored, flat = maps
    coordinates = of_blocks(positions(stored), 30, stored.chunks)
    assert coordinates.variance_share == 1.0
    assert_rotation_of(coordinates, flat)
    assert_back_to_features(coordinates, flat)


def test_landmarks_that_span_the_features_lose_nothing(maps):
    stored, flat = maps
    coordinates = of_blocks(positions(stored), 30, stored.chunks, exact=20, landmarks=30)
    assert coordinates.variance_share == pytest.approx(1.0, abs=1e-4)
    assert_rotation_of(coordinates, flat)
    assert_back_to_features(coordinates, flat)


def test_too_few_landmarks_are_a_projection_that_says_what_it_keeps(maps):
    stored, flat = maps
    coordinates = of_blocks(positions(stored), 30, stored.chunks, exact=20, landmarks=9)
    assert coordinates.z.shape == (30, 9)
    wanted = gram(flat)
    # of what it keeps the inner products are those of the projected features
    centred = flat - flat.mean(axis=0, dtype=np.float64)
    chosen = np.sort(np.random.default_rng(0).choice(30, 9, replace=False))
    span, _ = np.linalg.qr(centred[chosen].T)
    projected = centred @ span
    assert coordinates.variance_share == pytest.approx(
        (projected**2).sum() / np.trace(wanted), rel=1e-3
    )
    scaled = projected @ projected.T * 30 / (projected**2).sum()
    np.testing.assert_allclose(coordinates.z @ coordinates.z.T, scaled, atol=1e-3)
    assert_back_to_features(coordinates, flat)


@pytest.mark.parametrize("small", [0, 200])
def test_the_decomposition_is_that_of_float64(monkeypatch, small):
    monkeypatch.setattr(module, "SMALL", small)
    features = random_features(200, 900)
    found = of_features(features)
    values = np.linalg.eigvalsh(gram(features))[::-1][:199]
    np.testing.assert_allclose(found.moments, values / values.sum(), rtol=1e-3, atol=1e-7)
    assert_rotation_of(found, features)
    assert_back_to_features(found, features, 2e-4)


def test_a_wrong_decomposition_is_noticed(monkeypatch):
    true = module.eigh

    def wrong(*args, **kwargs):
        values, vectors = true(*args, **kwargs)
        return values, np.roll(vectors, 1, axis=1)

    monkeypatch.setattr(module, "eigh", wrong)
    with pytest.raises(EngineError, match="does not compute correctly"):
        of_features(random_features(40, 12))


def test_blocks_are_left_as_they_were():
    values = random_features(5, 4)
    before = values.copy()
    centred_gram(iter([values]), 5)
    np.testing.assert_array_equal(values, before)


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
