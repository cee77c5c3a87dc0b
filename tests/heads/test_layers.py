import math
from itertools import pairwise

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headfit.errors import UsageError
from headfit.heads.chain import parse_head
from headfit.heads.keras_layers.registry import append_pooling
from headfit.heads.layers import spp
from headfit.heads.layers.gem import GEM, LEAST
from headfit.heads.pooling import find_pooling, pooling_names
from headfit.heads.trained import TrainedPooling
from headfit.layers import SPP, GeM

# Keras' own variables do not know numpy 2's copy argument yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")
quick = settings(deadline=None, max_examples=25)
NAMES = pooling_names()
# the others pool only with weights: test_trained.py
FIXED = [name for name in NAMES if not isinstance(find_pooling(name), TrainedPooling)]
shapes = st.tuples(
    st.integers(1, 3), st.integers(4, 10), st.integers(4, 10), st.integers(1, 6)
)  # images, H, W, C
seeds = st.integers(0, 2**32 - 1)


def relu_maps(shape, seed, scale=3.0):
    """Maps as a ReLU leaves them: half of the numbers are zero."""
    drawn = np.random.default_rng(seed).normal(0, scale, shape)
    return np.maximum(drawn, 0).astype(np.float32)


def signed_maps(shape, seed):
    return np.random.default_rng(seed).normal(0, 3, shape).astype(np.float32)


def through_keras(pooling, maps, shape=None, first=False):
    order = "channels_first" if first else "channels_last"
    maps = maps.transpose(0, 3, 1, 2) if first else maps
    x = keras.Input(maps.shape[1:])
    model = keras.Model(x, append_pooling(pooling, x, shape, data_format=order))
    assert model.layers[-1].name == "head_pool"
    out = keras.ops.convert_to_numpy(model(maps))
    assert model.output_shape == (None, out.shape[1])
    return out


def saved_and_loaded(model, tmp_path):
    path = tmp_path / "model.keras"
    model.save(path)
    return keras.models.load_model(path, safe_mode=True)


@pytest.mark.parametrize("first", [False, True], ids=["last", "first"])
@pytest.mark.parametrize("name", FIXED)
@settings(deadline=None, max_examples=10)
@given(shapes, seeds)
def test_numpy_and_keras_agree(name, first, shape, seed):
    pooling = find_pooling(name)
    maps = relu_maps(shape, seed) if pooling.nonnegative else signed_maps(shape, seed)
    for value in pooling.shapes or (None,):
        pooled = pooling.pool(maps, value)
        assert pooled.dtype == np.float32 and pooled.shape == (
            len(maps),
            pooling.width(maps.shape[1:]),
        )
        out = through_keras(pooling, maps, value, first)
        np.testing.assert_allclose(pooled, out, rtol=1e-5, atol=1e-5)


@quick
@given(shapes, seeds)
def test_gap_gmp_and_flatten_are_what_they_say(shape, seed):
    maps = signed_maps(shape, seed)
    wide = maps.astype(np.float64)
    gap, gmp = find_pooling("gap").pool(maps), find_pooling("gmp").pool(maps)
    np.testing.assert_allclose(gap, wide.mean(axis=(1, 2)), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(gmp, wide.max(axis=(1, 2)))
    flat = find_pooling("flatten").pool(maps)
    n, row, column, channel = (size - 1 for size in shape)
    assert flat[n, (row * shape[2] + column) * shape[3] + channel] == maps[n, row, column, channel]
    np.testing.assert_array_equal(flat.reshape(shape), maps)


@quick
@given(shapes, seeds)
def test_avgmax_is_gap_beside_gmp(shape, seed):
    maps = signed_maps(shape, seed)
    halves = np.split(find_pooling("avgmax").pool(maps), 2, axis=1)
    np.testing.assert_array_equal(halves[0], find_pooling("gap").pool(maps))
    np.testing.assert_array_equal(halves[1], find_pooling("gmp").pool(maps))


@quick
@given(shapes, seeds)
def test_gem_runs_from_gap_to_gmp(shape, seed):
    maps = relu_maps(shape, seed)
    gap, gmp = find_pooling("gap").pool(maps), find_pooling("gmp").pool(maps)
    np.testing.assert_allclose(GEM.pool(maps, 1), gap, rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(GEM.pool(maps, 1e4), gmp, rtol=1e-3, atol=2e-6)
    pooled = [GEM.pool(maps, p) for p in GEM.shapes]
    assert all((b >= a * (1 - 1e-5)).all() for a, b in pairwise(pooled))


@settings(deadline=None, max_examples=40)
@given(
    shapes | st.just((2, 4, 5, 3)),
    seeds,
    st.floats(0.5, 20),
    st.sampled_from([1e-19, 1e-3, 1.0, 1e15, 1e30]),
)
def test_gem_follows_its_formula_whatever_the_scale(shape, seed, p, scale):
    maps = relu_maps(shape, seed, scale)
    least = 1e-6 * np.minimum(maps.max(axis=(1, 2, 3), keepdims=True), 1)
    logs = np.log(np.maximum(maps.astype(np.float64), np.maximum(least, LEAST)))
    top = logs.max(axis=(1, 2))
    spread = np.exp(p * (logs - top[:, None, None])).mean(axis=(1, 2))
    expected = np.exp(top + np.log(spread) / p)
    np.testing.assert_allclose(GEM.pool(maps, p), expected, rtol=2e-5)
    if shape == (2, 4, 5, 3):  # each new shape is compiled anew
        np.testing.assert_allclose(through_keras(GEM, maps, p), expected, rtol=2e-5)


def test_gem_learns_its_exponent():
    maps = relu_maps((16, 5, 5, 4), 0)
    x = keras.Input(maps.shape[1:])
    model = keras.Model(x, append_pooling(GEM, x, 1.0))
    model.compile(keras.optimizers.Adam(0.1), "mse")
    before = model.evaluate(maps, GEM.pool(maps, 4), verbose=0)
    model.fit(maps, GEM.pool(maps, 4), epochs=200, batch_size=16, verbose=0)
    (p,) = model.trainable_weights
    assert p.shape == ()
    assert abs(float(keras.ops.convert_to_numpy(p)) - 4) < 0.1
    assert model.evaluate(maps, GEM.pool(maps, 4), verbose=0) < before / 100


def test_gem_refuses_signed_maps():
    maps = relu_maps((400, 32, 32, 20), 0)  # more than one block
    maps[-1, 0, 0, 0] = -0.5
    with pytest.raises(UsageError, match=r"'gem' needs .*\. Received .* minimum of -0\.5"):
        GEM.pool(maps)


@quick
@given(shapes, seeds)
def test_spp_holds_the_mean_of_every_cell(shape, seed):
    maps = signed_maps(shape, seed)
    n, height, width, channels = shape
    pooled = find_pooling("spp").pool(maps).reshape(n, 21, channels)
    cells = [(b, i, j) for b in (1, 2, 4) for i in range(b) for j in range(b)]
    for cell, (b, i, j) in enumerate(cells):
        rows = slice(math.floor(i * height / b), math.ceil((i + 1) * height / b))
        columns = slice(math.floor(j * width / b), math.ceil((j + 1) * width / b))
        expected = maps[:, rows, columns].astype(np.float64).mean(axis=(1, 2))
        np.testing.assert_allclose(pooled[:, cell], expected, rtol=1e-5, atol=1e-5)
    gap = find_pooling("gap").pool(maps)
    np.testing.assert_allclose(pooled[:, 0], gap, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(3, 7), (7, 3), (1, 1)])
def test_spp_refuses_maps_that_are_too_small(size):
    message = rf"'spp' needs a feature map of at least 4×4 positions\. Received: {size[0]}×"
    head = parse_head("spp")
    with pytest.raises(UsageError, match=message):
        head.parameters((*size, 8), 3)
    with pytest.raises(UsageError, match=message):
        head.pooling.pool(np.zeros((1, *size, 8), np.float32))
    with pytest.raises(UsageError, match=message):
        head.build(keras.Input((*size, 8)), 3)
    with pytest.raises(UsageError, match="at least 4×4"):
        SPP()(keras.Input((*size, 8)))


def test_the_matrix_of_cells_cannot_be_spoiled():
    matrix = spp.cell_matrix(5, 7)
    assert matrix is spp.cell_matrix(5, 7) and not matrix.flags.writeable
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_maps_without_a_fixed_size(name):
    x = keras.Input((None, None, 3))
    if find_pooling(name).fixed_size:
        with pytest.raises(UsageError, match="needs a feature map of a fixed size"):
            parse_head(name).build(x, 2)
    else:
        model = keras.Model(x, parse_head(name).build(x, 2))
        assert model(np.ones((1, 5, 9, 3), np.float32)).shape == (1, 2)


@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
@pytest.mark.parametrize("chain", ["gem-8", "spp-dropout0.5-8:gelu"])
def test_a_saved_head_comes_back_the_same(chain, order, tmp_path):
    maps = relu_maps((3, 5, 6, 4), 1)
    maps = maps.transpose(0, 3, 1, 2) if order == "channels_first" else maps
    x = keras.Input(maps.shape[1:])
    shape = 2.5 if chain == "gem-8" else None
    model = keras.Model(x, parse_head(chain).build(x, 3, shape, order))
    again = saved_and_loaded(model, tmp_path)
    assert again.get_layer("head_pool").get_config() == model.get_layer("head_pool").get_config()
    np.testing.assert_array_equal(again.predict(maps, verbose=0), model.predict(maps, verbose=0))


def test_a_trained_exponent_is_saved(tmp_path):
    x = keras.Input((5, 6, 4))
    model = keras.Model(x, append_pooling(GEM, x))
    model.set_weights([np.float32(4.5)])
    again = saved_and_loaded(model, tmp_path)
    assert float(again.get_weights()[0]) == 4.5


def test_layers_are_registered_under_the_package_name():
    for layer in (GeM, SPP):
        name = f"headfit>{layer.__name__}"
        assert keras.saving.get_registered_name(layer) == name
        assert keras.saving.get_registered_object(name) is layer


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float32"])
@pytest.mark.parametrize("layer", [GeM, SPP])
def test_half_precision_sums_in_float32(layer, dtype):
    maps = relu_maps((2, 6, 7, 3), 2, 10)
    built = layer(dtype=dtype)
    out = built(maps)
    assert keras.backend.standardize_dtype(out.dtype) == built.compute_dtype
    expected = (GEM if layer is GeM else find_pooling("spp")).pool(maps)
    tolerance = {"mixed_float16": 2e-3, "mixed_bfloat16": 2e-2, "float32": 1e-5}[dtype]
    found = keras.ops.convert_to_numpy(keras.ops.cast(out, "float32"))
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_wrong_arguments_are_refused():
    with pytest.raises(UsageError, match="one of channels_last, channels_first"):
        SPP("first")
    with pytest.raises(UsageError, match="`p0` must be a positive number"):
        GeM(0)
    with pytest.raises(UsageError, match=r"`shape` must be a positive number, .* of head 'gem'"):
        GEM.pool(relu_maps((1, 4, 4, 1), 0), -1)
    with pytest.raises(UsageError, match=r"'gap' has no shape parameter\. Received: shape=2"):
        find_pooling("gap").pool(relu_maps((1, 4, 4, 1), 0), 2)


@pytest.mark.parametrize("name", FIXED)
def test_float16_maps_no_maps_and_several_blocks(name):
    pooling = find_pooling(name)
    half = relu_maps((50, 16, 17, 500), 3).astype(np.float16)
    pooled = pooling.pool(half)
    assert pooled.dtype == np.float32
    np.testing.assert_array_equal(pooled[-1:], pooling.pool(half[-1:].astype(np.float32)))
    assert pooling.pool(half[:0]).shape == (0, pooling.width((16, 17, 500)))


@pytest.mark.parametrize("name", FIXED)
def test_the_result_is_never_a_view(name):
    maps = relu_maps((2, 4, 4, 3), 4)
    assert not np.shares_memory(find_pooling(name).pool(maps), maps)
