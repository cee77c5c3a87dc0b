from itertools import pairwise

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headfit.errors import UsageError
from headfit.heads.chain import parse_head
from headfit.heads.keras_layers.registry import append_pooling
from headfit.heads.layers.lse import LEAST_R, LSE
from headfit.heads.pooling import find_pooling
from headfit.heads.presets import DEFAULT_HEADS
from headfit.layers import LogSumExp

# Keras' own variables do not know numpy 2's copy argument yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")
quick = settings(deadline=None, max_examples=25)
shapes = st.tuples(
    st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(1, 6)
)  # images, H, W, C
seeds = st.integers(0, 2**32 - 1)
sharpness = st.floats(1e-3, 1e3)
scales = st.sampled_from([1e-3, 1.0, 100.0])


def signed_maps(shape, seed, scale=3.0):
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


def by_the_formula(maps, r):
    """In float64, which the exponentials of these maps do not overflow once the top is out."""
    wide = maps.astype(np.float64)
    top = wide.max(axis=(1, 2))
    return top + np.log(np.exp(r * (wide - top[:, None, None])).mean(axis=(1, 2))) / r


@quick
@given(shapes, seeds, sharpness, scales)
def test_it_follows_its_formula_where_exponentials_overflow_float32(shape, seed, r, scale):
    maps = signed_maps(shape, seed, scale)
    np.testing.assert_allclose(
        LSE.pool(maps, r), by_the_formula(maps, r), rtol=1e-5, atol=2e-6 * scale
    )


@quick
@given(shapes, seeds, sharpness)
def test_it_lies_between_gap_and_gmp_within_its_bounds(shape, seed, r):
    maps = signed_maps(shape, seed)
    gap, gmp = (find_pooling(name).pool(maps) for name in ("gap", "gmp"))
    span = np.ptp(maps, axis=(1, 2))
    pooled = LSE.pool(maps, r)
    rounding = 1e-5
    assert (pooled >= gap - rounding).all() and (pooled <= gmp + rounding).all()
    assert (pooled <= gap + r * span**2 / 8 + rounding).all()
    assert (pooled >= gmp - np.log(shape[1] * shape[2]) / r - rounding).all()


@quick
@given(shapes, seeds)
def test_a_small_sharpness_is_gap_and_a_large_one_gmp(shape, seed):
    maps = signed_maps(shape, seed, 0.1)
    gap, gmp = (find_pooling(name).pool(maps) for name in ("gap", "gmp"))
    np.testing.assert_allclose(LSE.pool(maps, LEAST_R), gap, atol=1e-4)
    np.testing.assert_array_equal(LSE.pool(maps, 1e-30), LSE.pool(maps, LEAST_R))
    np.testing.assert_allclose(LSE.pool(maps, 1e6), gmp, atol=1e-5)
    pooled = [LSE.pool(maps, r) for r in LSE.shapes]
    assert all((b >= a - 1e-6).all() for a, b in pairwise(pooled))


@pytest.mark.parametrize("first", [False, True], ids=["last", "first"])
@settings(deadline=None, max_examples=8)  # each new shape is compiled anew
@given(shapes, seeds, sharpness)
def test_the_layer_is_the_pooling(first, shape, seed, r):
    maps = signed_maps(shape, seed)
    expected = LSE.pool(maps, r)
    layer = LogSumExp(r, "channels_first" if first else "channels_last")
    out = layer(maps.transpose(0, 3, 1, 2) if first else maps)
    assert layer.count_params() == LSE.parameters(shape[1:]) == 1
    np.testing.assert_allclose(keras.ops.convert_to_numpy(out), expected, rtol=1e-5, atol=1e-5)


def test_its_count_is_one_more_than_that_of_gap():
    assert parse_head("lse").parameters((7, 7, 512), 10, bias=False) == 5120 + 1


@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
def test_a_trained_sharpness_is_saved_and_gives_the_same(order, tmp_path):
    maps = signed_maps((3, 5, 6, 4), 1)
    maps = maps.transpose(0, 3, 1, 2) if order == "channels_first" else maps
    x = keras.Input(maps.shape[1:])
    model = keras.Model(x, parse_head("lse-8").build(x, 3, 2.5, order))
    model.get_layer("head_pool").scalar.assign(0.75)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    pool = again.get_layer("head_pool")
    assert pool.get_config() == model.get_layer("head_pool").get_config()
    assert (pool.get_config()["r0"], float(pool.get_weights()[0])) == (2.5, 0.75)
    np.testing.assert_array_equal(again.predict(maps, verbose=0), model.predict(maps, verbose=0))


def test_it_learns_its_sharpness():
    maps = signed_maps((16, 5, 5, 4), 0)
    x = keras.Input(maps.shape[1:])
    model = keras.Model(x, append_pooling(LSE, x, 1.0))
    model.compile(keras.optimizers.Adam(0.05), "mse")
    model.fit(maps, LSE.pool(maps, 2), epochs=200, batch_size=16, verbose=0)
    assert abs(float(model.get_weights()[0]) - 2) < 0.05


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float32"])
def test_half_precision_sums_in_float32(dtype):
    maps = np.maximum(signed_maps((2, 6, 7, 3), 2, 10), 0)
    layer = LogSumExp(dtype=dtype)
    out = layer(maps)
    assert keras.backend.standardize_dtype(out.dtype) == layer.compute_dtype
    tolerance = {"mixed_float16": 2e-3, "mixed_bfloat16": 2e-2, "float32": 1e-5}[dtype]
    found = keras.ops.convert_to_numpy(keras.ops.cast(out, "float32"))
    np.testing.assert_allclose(found, LSE.pool(maps), rtol=tolerance, atol=tolerance)


def test_it_is_registered_under_the_package_name_and_no_default():
    assert keras.saving.get_registered_name(LogSumExp) == "headfit>LogSumExp"
    assert "lse" not in DEFAULT_HEADS


def test_wrong_arguments_are_refused():
    with pytest.raises(UsageError, match=r"`r0` must be a positive number\. Received: r0=0"):
        LogSumExp(0)
    with pytest.raises(
        UsageError, match="`shape` must be a positive number, the shape parameter of head 'lse'"
    ):
        LSE.pool(signed_maps((1, 4, 4, 1), 0), -1)
