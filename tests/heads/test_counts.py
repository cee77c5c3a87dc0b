import csv
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headfit.backbones.build import untrained
from headfit.errors import UsageError
from headfit.heads.body import ACTIVATIONS, Dense, Dropout
from headfit.heads.chain import Head, parse_head
from headfit.heads.pooling import find_pooling, pooling_names
from headfit.heads.trained import TrainedPooling

GOLDEN = Path(__file__).parents[1] / "data" / "parameters.csv"
MOBILENET, VGG16 = (7, 7, 1024), (7, 7, 512)

steps = st.one_of(
    st.builds(Dense, st.sampled_from((1, 6, 40)), st.sampled_from(ACTIVATIONS)),
    st.builds(Dropout, st.floats(0, 0.9)),
)


@settings(deadline=None, max_examples=12)  # each new shape is compiled anew
@given(
    st.sampled_from(pooling_names()),
    st.lists(steps, max_size=3).map(tuple),
    st.tuples(st.integers(4, 9), st.integers(4, 9), st.integers(1, 12)),
    st.sampled_from((2, 11)),
    st.booleans(),
)
def test_every_count_is_that_of_the_built_keras_model(name, body, shape, classes, first):
    pooling = find_pooling(name)
    readout = isinstance(pooling, TrainedPooling) and pooling.readout
    head = Head(pooling, () if readout else body)
    order = "channels_first" if first else "channels_last"
    x = keras.Input((shape[2], *shape[:2]) if first else shape)
    with untrained():  # which numbers the weights hold counts for nothing
        model = keras.Model(x, head.build(x, classes, data_format=order))
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert head.parameters(shape, classes) == model.count_params() == trainable
    assert head.parameters(shape, classes, bias=False) == model.count_params() - classes
    assert model.layers[-1].input.shape[-1] == (
        next((s.units for s in reversed(head.body) if isinstance(s, Dense)), None)
        or head.pooling.width(shape)
        or classes
    )


def test_layer_names_are_stable_and_the_output_is_a_distribution():
    x = keras.Input((5, 6, 3))
    model = keras.Model(x, parse_head("avgmax-dropout0.5-8:gelu-dropout0.5-4").build(x, 3))
    assert [layer.name for layer in model.layers[1:]] == [
        *("head_pool_avg", "head_pool_max", "head_pool"),
        *("head_dropout_1", "head_dense_1", "head_dropout_2", "head_dense_2", "head_softmax"),
    ]
    assert model.get_layer("head_dense_1").activation is keras.activations.gelu
    out = keras.ops.convert_to_numpy(model(np.ones((2, 5, 6, 3), np.float32)))
    assert out.shape == (2, 3)
    np.testing.assert_allclose(out.sum(axis=1), 1, rtol=1e-6)


def test_the_first_top_of_the_question():
    head = parse_head("mobilenet-question")
    assert 3_228_864 + head.parameters(MOBILENET, 3) == 5_854_403


@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
def test_the_second_top_of_the_question(classes):
    flatten, gap = parse_head("vgg16-question"), parse_head("gap")
    assert 14_714_688 + flatten.parameters(VGG16, classes) == 14_714_688 + 25_089 * classes
    assert 14_714_688 + gap.parameters(VGG16, classes) == 14_714_688 + 513 * classes


def test_published_tops_have_their_published_size():
    assert 14_714_688 + parse_head("vgg").parameters(VGG16, 1000) == 138_357_544
    assert parse_head("googlenet").parameters((7, 7, 1024), 1000) == 1_025_000
    assert parse_head("alexnet").parameters((6, 6, 256), 1000) == 58_631_144


def test_batch_normalisation_counts_what_is_trained_and_keras_builds_it():
    head = parse_head("gap-bn-6-bn")
    assert head.parameters((4, 4, 5), 3) == 2 * 5 + 6 * (5 + 1) + 2 * 6 + 3 * (6 + 1)
    x = keras.Input((4, 4, 5))
    model = keras.Model(x, head.build(x, 3))
    assert head.parameters((4, 4, 5), 3) == sum(
        int(np.prod(weight.shape)) for weight in model.trainable_weights
    )
    assert [layer.name for layer in model.layers if "bn" in layer.name] == [
        "head_bn_1",
        "head_bn_2",
    ]
    assert {model.get_layer(name).epsilon for name in ("head_bn_1", "head_bn_2")} == {1e-3}


def test_fastai_head_has_its_size_and_two_biases():
    # create_head(2048, 10): normalisations of 2048 and 512, 2048 × 512 and 512 × 10 without bias
    published = 2 * 2048 + 2048 * 512 + 2 * 512 + 512 * 10
    assert parse_head("fastai").parameters((7, 7, 1024), 10) == published + 512 + 10


def test_the_table_without_the_last_bias():
    fixed = {"flatten": 49 * 512, "gap": 512, "gmp": 512, "avgmax": 1024, "spp": 21 * 512}
    for name, each in fixed.items():
        assert parse_head(name).parameters(VGG16, 10, bias=False) == each * 10
    assert parse_head("gem").parameters(VGG16, 10, bias=False) == 5120 + 1
    c, k = 512, 10
    own = {
        "attention": c + c * k,
        "multi_query": c**2 + 8 * c + c * k,
        "simpool": 2 * c**2 + 2 * c + c * k,
        "covariance": 48 * c + 48 * 49 // 2 * k,  # 49 positions give a rank of 48 at most
        "netvlad": 2 * 8 * c + 8 + 8 * c * k,
        "low_rank": k * 4 * (49 + c),
    }
    for name, expected in own.items():
        assert parse_head(name).parameters(VGG16, k, bias=False) == expected


@pytest.mark.parametrize(
    "row",
    list(csv.DictReader(GOLDEN.read_text().splitlines())),
    ids=lambda r: f"{r['backbone']}-{r['input_size']}",
)
def test_golden_figures(row):
    shape = (int(row["map_h"]), int(row["map_w"]), int(row["channels"]))
    flatten, gap = parse_head("flatten"), parse_head("gap")
    assert flatten.pooling.width(shape) == int(row["flatten_features"])
    assert flatten.parameters(shape, 10) == int(row["flatten_to_10"])
    assert gap.parameters(shape, 10) == int(row["gap_to_10"])


def test_no_output_is_refused():
    with pytest.raises(UsageError, match=r"`classes` must be .* at least 1\. Received: classes=0"):
        parse_head("gap").parameters(VGG16, 0)
    with pytest.raises(UsageError, match=r"`classes` must be .* at least 1\. Received: classes=0"):
        parse_head("gap").build(keras.Input((4, 4, 3)), 0)
