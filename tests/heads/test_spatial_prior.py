from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headfit.errors import UsageError
from headfit.heads.keras_layers.registry import append_pooling
from headfit.heads.pooling import find_pooling
from headfit.layers import SpatialShrinkage

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")
PRIOR, FLATTEN, GAP = map(find_pooling, ("spatial_prior", "flatten", "gap"))
shapes = st.tuples(st.integers(2, 4), st.integers(1, 5), st.integers(1, 5), st.integers(1, 4))


def maps_of(shape, seed=0):
    return np.random.default_rng(seed).normal(0, 2, shape).astype(np.float32)


@settings(deadline=None, max_examples=30)
@given(shapes, st.integers(0, 999), st.floats(0.01, 1))
def test_its_inner_products_mix_those_of_flatten_and_gap(shape, seed, tau):
    maps = maps_of(shape, seed)
    found = PRIOR.pool(maps, tau).astype(np.float64)
    flat, mean = (pooling.pool(maps).astype(np.float64) for pooling in (FLATTEN, GAP))
    positions = shape[1] * shape[2]
    wanted = (1 - tau) * flat @ flat.T + tau * positions * mean @ mean.T
    np.testing.assert_allclose(found @ found.T, wanted, rtol=1e-4, atol=1e-4)


def test_at_one_end_it_is_gap_at_the_other_flatten():
    maps = maps_of((3, 4, 5, 2))
    ends = PRIOR.pool(maps, 1.0).reshape(3, 20, 2)
    np.testing.assert_allclose(ends, np.repeat(GAP.pool(maps)[:, None], 20, 1), atol=1e-6)
    np.testing.assert_allclose(PRIOR.pool(maps, 1e-12), FLATTEN.pool(maps), atol=1e-5)
    assert (PRIOR.tau(0.3), FLATTEN.tau(None), GAP.tau(None)) == (0.3, 0.0, None)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float32"])
def test_half_precision_averages_in_float32(dtype):
    maps = maps_of((2, 6, 7, 3))
    out = SpatialShrinkage(0.7, dtype=dtype)(maps)
    tolerance = {"mixed_float16": 5e-3, "mixed_bfloat16": 4e-2, "float32": 1e-5}[dtype]
    found = keras.ops.convert_to_numpy(keras.ops.cast(out, "float32"))
    np.testing.assert_allclose(found, PRIOR.pool(maps, 0.7), rtol=tolerance, atol=tolerance)


def test_a_saved_model_keeps_tau(tmp_path):
    x = keras.Input((4, 5, 3))
    model = keras.Model(x, append_pooling(PRIOR, x, 0.25))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert again.get_layer("head_pool").tau == 0.25
    assert model.count_params() == 0


def test_a_tau_out_of_range_is_refused():
    with pytest.raises(
        UsageError, match=r"`shape` must be at most 1, .* 'spatial_prior'\. Received: shape=1\.5"
    ):
        PRIOR.pool(maps_of((1, 2, 2, 1)), 1.5)
    with pytest.raises(UsageError, match="`tau` must be a number from 0 to 1"):
        SpatialShrinkage(-0.1)
