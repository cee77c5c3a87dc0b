"""Poolings with weights of their own: each formula, in three libraries, and its Keras layer."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from headfit import layers
from headfit.errors import UsageError
from headfit.heads.chain import parse_head
from headfit.heads.keras_layers.registry import append_pooling
from headfit.heads.layers.attention import ATTENTION
from headfit.heads.layers.covariance import COVARIANCE, newton_schulz
from headfit.heads.layers.low_rank import FLATTEN_PENALTIES, LOW_RANK, truncated_flatten
from headfit.heads.layers.multi_query import MULTI_QUERY
from headfit.heads.layers.netvlad import NETVLAD
from headfit.heads.layers.simpool import SIMPOOL
from headfit.heads.pooling import find_pooling, pooling_names
from headfit.heads.presets import DEFAULT_HEADS
from headfit.heads.ridge_start import SCALES, Goal
from headfit.heads.trained import Sample, TrainedPooling

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")
ALL = [p for p in map(find_pooling, pooling_names()) if isinstance(p, TrainedPooling)]
each_pooling = pytest.mark.parametrize("pooling", ALL, ids=lambda p: p.name)
quick = settings(deadline=None, max_examples=25)
CLASSES = 3
SHAPE = (4, 6, 16)
# images, H, W, C
shapes = st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7), st.integers(1, 12))
seeds = st.integers(0, 2**32 - 1)


def first_of(maps, labels, few):
    """Give the first few images, to start from."""
    return Sample(maps[:few], Goal.of_classes(labels[:few], CLASSES))


def maps_of(shape, seed=0):
    return np.random.default_rng(seed).normal(0, 2, shape).astype(np.float32)


def flat(maps):
    return maps.reshape(len(maps), -1, maps.shape[-1])


def sample_of(maps):
    """Images without labels, for poolings that do not look at these."""
    return Sample(maps.astype(np.float32), Goal.of_classes(np.zeros(len(maps), int), CLASSES))


def weights_of(pooling, shape, seed=0):
    """First weights, moved a little in every number."""
    rng = np.random.default_rng(seed)
    return [
        start + rng.normal(0, 0.3, start.shape).astype(np.float32)
        for start in pooling.initial(shape, CLASSES, seed)
    ]


def test_the_catalogue_is_complete_and_no_default():
    names = ["attention", "multi_query", "simpool", "covariance", "netvlad", "low_rank"]
    assert [pooling.name for pooling in ALL] == names
    assert not set(names) & set(DEFAULT_HEADS)
    assert [pooling.name for pooling in ALL if pooling.position_aware] == ["low_rank"]


@each_pooling
def test_numpy_jax_and_keras_agree(pooling):
    maps, weights = maps_of((3, *SHAPE)), weights_of(pooling, SHAPE)
    found = pooling.forward(np, flat(maps), weights)
    assert found.dtype == np.float32
    assert found.shape == (3, CLASSES if pooling.readout else pooling.width(SHAPE))
    close = {"rtol": 1e-4, "atol": 1e-5}
    forward = jax.jit(lambda maps, weights: pooling.forward(jnp, maps, weights))
    np.testing.assert_allclose(forward(flat(maps), weights), found, **close)
    for order in ("channels_last", "channels_first"):
        given = maps if order == "channels_last" else maps.transpose(0, 3, 1, 2)
        x = keras.Input(given.shape[1:])
        model = keras.Model(x, append_pooling(pooling, x, data_format=order, classes=CLASSES))
        layer = model.get_layer("head_pool")
        wanted = pooling.weights(SHAPE, CLASSES)
        assert [v.name for v in layer.weights] == [weight.name for weight in wanted]
        assert model.count_params() == pooling.parameters(SHAPE, CLASSES)
        model.set_weights(weights)
        assert model.output_shape == (None, found.shape[1])
        np.testing.assert_allclose(model.predict_on_batch(given), found, **close)


@each_pooling
def test_a_keras_layer_starts_where_the_pooling_does(pooling):
    x = keras.Input(SHAPE)
    model = keras.Model(x, append_pooling(pooling, x, classes=CLASSES))
    for found, wanted in zip(model.get_weights(), pooling.initial(SHAPE, CLASSES, 0), strict=True):
        assert wanted.dtype == np.float32
        np.testing.assert_array_equal(found, wanted)


@each_pooling
def test_first_weights_depend_on_the_seed_and_on_nothing_else(pooling):
    sample = Sample(flat(maps_of((12, *SHAPE))), Goal.of_classes(np.arange(12) % CLASSES, CLASSES))
    first, second, other = (pooling.initial(SHAPE, CLASSES, s, sample) for s in (5, 5, 6))
    for a, b, weight in zip(first, second, pooling.weights(SHAPE, CLASSES), strict=True):
        assert a.shape == weight.shape and np.array_equal(a, b)
    drawn = pooling not in (ATTENTION, MULTI_QUERY)
    assert drawn == any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    plain = pooling.initial(SHAPE, CLASSES, 5)
    looked = any(not np.array_equal(a, b) for a, b in zip(first, plain, strict=True))
    assert looked == pooling.data_start


@each_pooling
def test_every_weight_has_a_gradient_that_is_finite(pooling):
    """At the start too, on maps that are 0 in places, or everywhere."""
    maps = np.maximum(flat(maps_of((4, *SHAPE))), 0)
    maps[0] = 0
    target = maps_of((4, CLASSES if pooling.readout else pooling.width(SHAPE)), 1)

    @jax.jit
    @jax.grad
    def gradients(weights):
        return jnp.mean(jnp.square(pooling.forward(jnp, maps, weights) - target))

    for start in (pooling.initial(SHAPE, CLASSES, 0), weights_of(pooling, SHAPE)):
        found = [np.asarray(gradient) for gradient in gradients(start)]
        assert all(np.isfinite(gradient).all() for gradient in found)
    assert all(gradient.any() for gradient in found)


@quick
@given(shapes, seeds)
def test_attention_multi_query_and_low_rank_start_as_gap(shape, seed):
    maps, map_shape = maps_of(shape, seed), shape[1:]
    gap = find_pooling("gap").pool(maps)
    for pooling in (ATTENTION, MULTI_QUERY):
        start = pooling.initial(map_shape, None, seed)
        found = pooling.forward(np, flat(maps), start)
        np.testing.assert_allclose(found, gap, rtol=1e-4, atol=1e-5)
    places, channels = LOW_RANK.initial(map_shape, CLASSES, seed)
    assert not channels.any()
    channels[:, 0] = kernel = maps_of((CLASSES, shape[3]), seed + 1)
    found = LOW_RANK.forward(np, flat(maps), [places, channels])
    np.testing.assert_allclose(found, gap @ kernel.T, rtol=1e-4, atol=1e-4)


def softmax(scores):
    raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


@quick
@given(shapes, seeds)
def test_attention_is_a_weighted_mean(shape, seed):
    maps = maps_of(shape, seed).astype(np.float64)
    (query,) = weights_of(ATTENTION, shape[1:], seed)
    for found, image in zip(ATTENTION.forward(np, flat(maps), [query]), flat(maps), strict=True):
        shares = softmax(image @ query / shape[3])
        np.testing.assert_allclose(found, shares @ image, rtol=1e-6, atol=1e-6)


@quick
@given(shapes, seeds)
def test_multi_query_pools_the_same_as_values_at_every_position(shape, seed):
    maps, channels = flat(maps_of(shape, seed)).astype(np.float64), shape[3]
    queries, values = weights_of(MULTI_QUERY, shape[1:], seed)
    assert channels % len(queries) == 0 and len(queries) <= 8
    wide = channels // len(queries)
    for found, image in zip(MULTI_QUERY.forward(np, maps, [queries, values]), maps, strict=True):
        everywhere = image @ values / np.sqrt(channels)
        slices = [
            softmax(image @ query / channels) @ everywhere[:, m * wide : (m + 1) * wide]
            for m, query in enumerate(queries)
        ]
        np.testing.assert_allclose(found, np.concatenate(slices), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("channels", "count"), [(1280, 8), (440, 8), (1001, 7), (13, 1), (3, 3)])
def test_multi_query_takes_as_many_queries_as_divide_the_channels(channels, count):
    queries, _ = MULTI_QUERY.weights((7, 7, channels))
    assert queries.shape == (count, channels)


@quick
@given(shapes, seeds)
def test_simpool_is_what_its_keys_would_give(shape, seed):
    maps, channels = flat(maps_of(shape, seed)).astype(np.float64), shape[3]
    query, key, gain, offset = weights = weights_of(SIMPOOL, shape[1:], seed)
    for found, image in zip(SIMPOOL.forward(np, maps, weights), maps, strict=True):
        deviation = np.sqrt(image.var(axis=1, keepdims=True) + 1e-6)
        normal = (image - image.mean(axis=1, keepdims=True)) / deviation * gain + offset
        keys, asked = normal @ key.T, query @ image.mean(axis=0)
        shares = softmax(keys @ asked / channels**2)
        np.testing.assert_allclose(found, shares @ normal, rtol=1e-5, atol=1e-5)


def test_newton_schulz_approaches_the_root():
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    matrix = turn @ np.diag([0.25, 0.2, 0.2, 0.15, 0.1, 0.1]) @ turn.T
    errors = [
        np.abs(newton_schulz(np, matrix[None], 6, steps)[0] - sqrtm(matrix)).max()
        for steps in (1, 3, 5, 8)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < 5e-3 and errors[3] < 1e-6


def test_covariance_is_the_root_of_the_covariance():
    maps = flat(maps_of((2, 9, 9, 5)))
    weights = weights_of(COVARIANCE, (9, 9, 5))
    found = COVARIANCE.forward(np, maps, weights)
    for vector, image in zip(found, maps, strict=True):
        root = np.zeros((5, 5))
        root[np.triu_indices(5)] = vector
        root += np.triu(root, 1).T
        expected = np.cov((image @ weights[0]).T, bias=True)
        np.testing.assert_allclose(root @ root, expected, rtol=0.02, atol=0.02 * expected.max())
    moved = COVARIANCE.forward(np, maps + np.float32(3), weights)
    np.testing.assert_allclose(moved, found, atol=1e-3)


def test_covariance_starts_from_the_directions_of_the_images():
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.normal(size=(40, 20)))[0] * np.linspace(9, 1, 20)
    maps = rng.normal(size=(50, 16, 20)) @ directions.T + 30 * rng.normal(size=(50, 1, 40))
    (found,) = COVARIANCE.initial((4, 4, 40), None, 0, sample_of(maps))
    np.testing.assert_allclose(found.T @ found, np.eye(15), atol=1e-5)
    within = (maps - maps.mean(axis=1, keepdims=True)).reshape(-1, 40)
    most = np.linalg.svd(within, compute_uv=False)[:15] ** 2
    np.testing.assert_allclose(np.sum((within @ found) ** 2, axis=0), most, rtol=0.01)


@pytest.mark.parametrize(
    ("shape", "size"), [((7, 7, 1280), 48), ((10, 10, 1280), 64), ((3, 3, 512), 8), ((7, 7, 5), 5)]
)
def test_covariance_keeps_no_more_directions_than_there_are(shape, size):
    assert COVARIANCE.weights(shape)[0].shape == (shape[2], size)
    assert COVARIANCE.width(shape) == size * (size + 1) // 2


def test_covariance_refuses_too_few_positions():
    message = "'covariance' needs a feature map of at least 9 positions. Received: 2×4"
    with pytest.raises(UsageError, match=message):
        parse_head("covariance").parameters((2, 4, 8), 3)
    with pytest.raises(UsageError, match=message):
        parse_head("covariance").build(keras.Input((2, 4, 8)), 3)
    with pytest.raises(UsageError, match="CovariancePooling needs a feature map of a fixed size"):
        layers.CovariancePooling()(keras.Input((None, None, 8)))


@quick
@given(shapes, seeds)
def test_netvlad_sums_shared_residuals(shape, seed):
    maps = flat(maps_of(shape, seed)).astype(np.float64)
    assign, bias, centres = weights = weights_of(NETVLAD, shape[1:], seed)
    for found, image in zip(NETVLAD.forward(np, maps, weights), maps, strict=True):
        unit = image / np.linalg.norm(image, axis=1, keepdims=True)
        shares = softmax(unit @ assign + bias)
        rows = np.stack([s @ (unit - c) for s, c in zip(shares.T, centres, strict=True)])
        rows /= np.sqrt(np.sum(rows**2, axis=1, keepdims=True) + 1e-12)
        expected = rows.ravel() / np.linalg.norm(rows) * np.sqrt(rows.size)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_netvlad_starts_from_the_centres_of_the_images():
    rng = np.random.default_rng(0)
    kinds = np.eye(10)[:8] + 0.2
    maps = kinds[rng.integers(8, size=(30, 24))] * rng.uniform(1, 5, (30, 24, 1))
    maps += rng.normal(0, 0.01, maps.shape)
    assign, bias, centres = NETVLAD.initial((4, 6, 10), None, 0, sample_of(maps))
    wanted = kinds / np.linalg.norm(kinds, axis=1, keepdims=True)
    order = np.argmax(centres, axis=1)
    assert sorted(order) == list(range(8))
    np.testing.assert_allclose(centres, wanted[order], atol=0.01)
    shares = softmax(wanted @ assign + bias)
    nearest, following = np.sort(shares, axis=1)[:, ::-1][:, :2].T
    np.testing.assert_allclose(nearest / following, 100, rtol=0.3)


def test_netvlad_starts_from_less_than_its_centres():
    same = np.ones((1, 2, 5), np.float32)
    start = NETVLAD.initial((1, 2, 5), None, 0, sample_of(same))
    assert all(np.isfinite(array).all() for array in start)
    assert np.isfinite(NETVLAD.forward(np, same, start)).all()


def test_low_rank_starts_as_a_classifier_of_averages():
    rng, labels = np.random.default_rng(0), np.arange(240) % CLASSES
    means = 0.7 * rng.normal(size=(CLASSES, 16))[labels]
    maps = (means[:, None] + rng.normal(size=(240, 24, 16))).astype(np.float32)
    start = LOW_RANK.initial(SHAPE, CLASSES, 0, first_of(maps, labels, 120))
    assert np.all(start[0][:, 0] == 1) and not start[1][:, 1].any()
    logits = LOW_RANK.forward(np, maps[120:], start)
    given = np.log(softmax(logits))[np.arange(120), labels[120:]]
    assert np.mean(logits.argmax(axis=1) == labels[120:]) > 0.95
    assert -given.mean() < 0.2
    for few in (1, 2, 5):
        start = LOW_RANK.initial(SHAPE, CLASSES, 0, first_of(maps, labels, few))
        assert all(np.isfinite(array).all() for array in start)


def test_low_rank_starts_near_flatten_where_the_place_tells_the_class():
    rng, labels = np.random.default_rng(0), np.arange(240) % CLASSES
    maps = rng.uniform(0, 0.5, (240, 24, 16)).astype(np.float32)
    maps[np.arange(240), 6 * labels, 3] += 1  # one thing, in as many places as there are classes
    maps -= maps[:120].mean(axis=(0, 1))
    places, channels = LOW_RANK.initial(SHAPE, CLASSES, 0, first_of(maps, labels, 120))
    logits = LOW_RANK.forward(np, maps[120:], [places, channels])
    assert np.mean(logits.argmax(axis=1) == labels[120:]) > 0.95
    for k in range(CLASSES):
        assert np.abs(places[k, 0]).argmax() == 6 * k
        assert np.abs(channels[k, 0]).argmax() == 3


def test_of_many_images_some_are_enough_to_start_from(monkeypatch):
    monkeypatch.setattr("headfit.heads.layers.low_rank.MOST", 90)
    rng, labels = np.random.default_rng(0), np.arange(240) % CLASSES
    maps = rng.normal(0, 0.2, (240, 24, 16)).astype(np.float32)
    maps[np.arange(240), 6 * labels, 3] += 1
    split = np.arange(60), np.arange(60, 240)
    *some, _ = truncated_flatten(maps, Goal.of_classes(labels, CLASSES), 2, split)
    chosen = np.concatenate([np.arange(22), np.arange(60, 127)])
    again = truncated_flatten(
        maps[chosen],
        Goal.of_classes(labels[chosen], CLASSES),
        2,
        np.split(np.arange(89), [22]),
    )
    for found, expected in zip(some, again, strict=False):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    logits = LOW_RANK.forward(np, maps[127:], some)
    assert np.mean(logits.argmax(axis=1) == labels[127:]) > 0.95


@quick
@given(shapes, seeds)
def test_a_start_of_full_rank_is_ridge_regression_on_whole_maps(shape, seed):
    _, height, width, depth = shape
    rng, n = np.random.default_rng(seed), 12
    maps = rng.normal(size=(n, height * width, depth)).astype(np.float32)
    labels = np.arange(n) % CLASSES
    full = min(height * width, depth)
    split = np.arange(4), np.arange(4, n)
    places, channels, loss = truncated_flatten(maps, Goal.of_classes(labels, CLASSES), full, split)
    logits = LOW_RANK.forward(np, maps, [places, channels])
    x, targets = maps.reshape(n, -1).astype(np.float64), np.eye(CLASSES)[labels] - 1 / CLASSES
    found = []
    for penalty in FLATTEN_PENALTIES:
        strength = penalty * np.mean(np.sum(x**2, axis=1))
        kernel = np.linalg.solve(x.T @ x + strength * np.eye(x.shape[1]), x.T @ targets)
        found += [x @ kernel * scale for scale in SCALES]
    assert min(np.abs(each - logits).max() for each in found) < 1e-3 * np.abs(logits).max() + 1e-4
    assert np.isfinite(loss)


def test_a_readout_asks_for_the_classes():
    for ask in (LOW_RANK.weights, LOW_RANK.parameters):
        with pytest.raises(UsageError, match="the number of classes, which head 'low_rank' needs"):
            ask(SHAPE)
    with pytest.raises(UsageError, match="the number of classes, which head 'low_rank' needs"):
        append_pooling(LOW_RANK, keras.Input(SHAPE))
    assert LOW_RANK.width(SHAPE) == 0


@each_pooling
def test_without_weights_there_is_nothing_to_pool(pooling):
    message = f"'{pooling.name}' has trainable weights"
    with pytest.raises(UsageError, match=message):
        pooling.pool(maps_of((2, *SHAPE)))
    with pytest.raises(UsageError, match=f"'{pooling.name}' has no shape parameter"):
        append_pooling(pooling, keras.Input(SHAPE), 2, classes=CLASSES)


@each_pooling
def test_half_precision_sums_in_float32(pooling):
    maps = 10 * maps_of((2, *SHAPE)).astype(np.float16)
    x = keras.Input(SHAPE, dtype="float16")
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = keras.Model(x, append_pooling(pooling, x, classes=CLASSES))
    finally:
        keras.config.set_dtype_policy("float32")
    layer = model.get_layer("head_pool")
    model.set_weights(weights_of(pooling, SHAPE))
    found = model.predict_on_batch(maps)
    assert found.dtype == np.float16
    assert {v.dtype for v in layer.weights} == {"float32"}
    expected = pooling.forward(np, flat(maps.astype(np.float32)), layer.get_weights())
    # all that is rounded is the result
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("layer", "arguments", "message"),
    [
        (layers.MultiQueryPooling, {"queries": 0}, "`queries` .* at least 1"),
        (layers.CovariancePooling, {"most": 0}, "`most` .* at least 1"),
        (layers.NetVLAD, {"clusters": 1}, "`clusters` .* at least 2"),
        (layers.LowRankReadout, {"classes": 3, "rank": 0}, "`rank` .* at least 1"),
    ],
)
def test_wrong_arguments_are_refused(layer, arguments, message):
    with pytest.raises(UsageError, match=message):
        layer(**arguments)
