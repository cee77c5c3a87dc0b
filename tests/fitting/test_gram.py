from __future__ import annotations

import numpy as np
import pytest

from headfit.fitting.exact import gram as kernels
from headfit.fitting.exact.gram import Kernels, positions
from headfit.fitting.pooled import PooledFeatures
from headfit.heads.layers import FLATTEN, SPATIAL_PRIOR
from stored_maps import random_maps


def centred_gram(features: np.ndarray) -> np.ndarray:
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    return np.tril(centred @ centred.T)


@pytest.mark.parametrize("tau", [0.0, 0.4, 1.0])
def test_two_gram_matrices_give_that_of_every_spatial_prior(tmp_path, tau):
    maps, values = random_maps(tmp_path)
    features = SPATIAL_PRIOR.pool(values, tau or 1e-12)
    gram, mean = Kernels.of(maps).mixed(tau)
    np.testing.assert_allclose(np.tril(gram), centred_gram(features), atol=1e-4)
    np.testing.assert_allclose(mean, features.mean(axis=0), atol=1e-5)
    by_position = np.concatenate(list(positions(maps, tau)), axis=1)
    np.testing.assert_allclose(by_position, features, atol=1e-5)


@pytest.mark.parametrize("most", [4, 4096])
def test_coordinates_are_the_same_from_the_mixture_and_by_positions(tmp_path, monkeypatch, most):
    monkeypatch.setattr(kernels, "MOST_IMAGES", most)
    monkeypatch.setattr("headfit.fitting.pooled.NARROW", 10)
    maps, values = random_maps(tmp_path)
    features = SPATIAL_PRIOR.pool(values, 0.7).astype(np.float64)
    found = PooledFeatures(maps, (FLATTEN, SPATIAL_PRIOR)).coordinates(SPATIAL_PRIOR, 0.7)
    wanted = centred_gram(features)
    np.testing.assert_allclose(
        np.tril(found.z @ found.z.T), wanted * 20 / np.trace(wanted), atol=1e-5
    )
    kernel = np.random.default_rng(0).normal(size=(found.z.shape[1], 2))
    raw, bias = found.to_features(kernel, np.zeros(2))
    np.testing.assert_allclose(features @ raw + bias, found.z @ kernel, atol=1e-4)


def test_gram_matrices_of_wide_features_are_centred_over_the_images_asked_for(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("headfit.fitting.pooled.NARROW", 10)
    maps, values = random_maps(tmp_path)
    some = np.array([0, 3, 7, 8, 15])
    grams = PooledFeatures(maps, (SPATIAL_PRIOR,)).grams(SPATIAL_PRIOR, (0.3, 0.9), some)
    for tau, gram in zip((0.3, 0.9), grams, strict=True):
        wanted = centred_gram(SPATIAL_PRIOR.pool(values[some], tau))
        np.testing.assert_allclose(np.tril(gram), wanted, atol=1e-4)
