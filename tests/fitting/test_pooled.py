from __future__ import annotations

import numpy as np
import pytest

from headfit.errors import UsageError
from headfit.features.store import FeatureMaps
from headfit.fitting import pooled as module
from headfit.fitting.pooled import PooledFeatures, keys_of
from headfit.heads.layers import AVGMAX, FLATTEN, GAP, GEM, GMP, SPATIAL_PYRAMID
from stored_maps import random_maps

ALL = (GAP, FLATTEN, GMP, AVGMAX, GEM, SPATIAL_PYRAMID)


class Counted(FeatureMaps):
    """Maps that count how many of them are read."""

    readings = 0

    def chunks(self):
        type(self).readings += len(self)
        return super().chunks()

    def subset(self, indices):
        return Counted(self.blocks, self.places[indices])


def test_one_reading_of_the_store_serves_all_narrow_poolings(tmp_path):
    maps, _ = random_maps(tmp_path)
    poolings = (GAP, FLATTEN, GMP, AVGMAX)
    features = PooledFeatures(Counted(maps.blocks, maps.places), poolings)
    Counted.readings = 0
    for pooling, shape in keys_of(poolings):
        features.features(pooling, shape)
        features.features(pooling, shape)
    assert Counted.readings == len(maps)


def test_features_are_what_the_pooling_makes_of_the_maps(tmp_path, monkeypatch):
    monkeypatch.setattr("headfit.features.store.CHUNK_BYTES", 7 * 4 * 4 * 6 * 4)
    maps, values = random_maps(tmp_path)
    features = PooledFeatures(maps, ALL)
    for pooling, shape in keys_of(ALL):
        found = features.features(pooling, shape)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, pooling.pool(values, shape), rtol=1e-6)


def test_a_pooling_that_was_not_announced_is_computed_too(tmp_path):
    maps, values = random_maps(tmp_path)
    np.testing.assert_array_equal(
        PooledFeatures(maps, (GAP,)).features(GMP, None), GMP.pool(values)
    )


@pytest.mark.parametrize("narrow", [10, 2048])
def test_flatten_has_the_same_coordinates_by_positions_and_in_memory(tmp_path, monkeypatch, narrow):
    monkeypatch.setattr(module, "NARROW", narrow)
    maps, values = random_maps(tmp_path)
    features = PooledFeatures(maps, (FLATTEN,))
    coordinates = features.coordinates(FLATTEN, None)
    flat = values.reshape(20, -1).astype(np.float64)
    centred = flat - flat.mean(axis=0)
    wanted = centred @ centred.T
    np.testing.assert_allclose(
        coordinates.z @ coordinates.z.T, wanted * 20 / np.trace(wanted), atol=1e-5
    )
    kernel, bias = coordinates.to_features(np.eye(19)[:, :2], np.zeros(2))
    np.testing.assert_allclose(flat @ kernel + bias, coordinates.z[:, :2], atol=1e-5)
    np.testing.assert_array_equal(features.features(FLATTEN, None), values.reshape(20, -1))
    assert features.coordinates(FLATTEN, None) is coordinates


def test_a_pooling_that_the_maps_do_not_suit_does_not_stop_the_others(tmp_path):
    maps, values = random_maps(tmp_path, (10, 3, 3, 5), lowest=-9.0)
    features = PooledFeatures(maps, ALL)
    assert features.lowest() == values.min() < 0
    np.testing.assert_allclose(features.features(GAP, None), GAP.pool(values), rtol=1e-6)
    assert len(features.coordinates(AVGMAX, None).z) == 10
    with pytest.raises(UsageError, match="without negative"):
        features.features(GEM, 3.0)
    with pytest.raises(UsageError, match="at least 4×4"):
        features.features(SPATIAL_PYRAMID, None)


def test_coordinates_are_computed_once(tmp_path):
    maps, _ = random_maps(tmp_path)
    features = PooledFeatures(maps, (GAP, GMP))
    first = features.coordinates(GAP, None)
    assert features.coordinates(GMP, None) is not first
    assert features.coordinates(GAP, None) is first


def test_what_has_not_been_asked_for_lately_is_forgotten(tmp_path, monkeypatch):
    maps, values = random_maps(tmp_path)
    monkeypatch.setattr(module, "FEATURE_BYTES", 1)
    monkeypatch.setattr(module, "COORDINATE_BYTES", 1)
    features = PooledFeatures(maps, ALL)
    for pooling, shape in keys_of(ALL):
        found = features.features(pooling, shape)
        np.testing.assert_allclose(found, pooling.pool(values, shape), rtol=1e-6)
    first = features.coordinates(GAP, None)
    features.coordinates(GMP, None)
    again = features.coordinates(GAP, None)
    assert again is not first
    np.testing.assert_array_equal(again.z, first.z)


def test_coordinates_of_wide_features_come_back_from_the_maps(tmp_path):
    maps, values = random_maps(tmp_path)
    coordinates = PooledFeatures(maps, ALL).coordinates(SPATIAL_PYRAMID, None)
    kernel = np.random.default_rng(0).normal(size=(coordinates.z.shape[1], 2))
    raw, bias = coordinates.to_features(kernel, np.zeros(2))
    wanted = SPATIAL_PYRAMID.pool(values) @ raw + bias
    np.testing.assert_allclose(wanted, coordinates.z @ kernel, atol=1e-4)


def test_the_gram_matrix_of_some_images_is_centred_over_them(tmp_path):
    maps, values = random_maps(tmp_path)
    some = np.array([1, 4, 5, 11, 19])
    found = PooledFeatures(maps, ALL).grams(GAP, [None], some)[0]
    pooled = GAP.pool(values)[some]
    centred = pooled - pooled.mean(axis=0)
    np.testing.assert_allclose(np.tril(found), np.tril(centred @ centred.T), atol=1e-5)
