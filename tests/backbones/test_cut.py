"""Backbones that end at inner layers, against Keras' own models of those layers."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from headfit.backbones.build import build
from headfit.backbones.catalog import find
from headfit.backbones.cut import build_cut, last_maps, parts
from headfit.errors import UsageError

VGG = find("VGG16")
LAST = [f"block{n}_conv{2 if n < 3 else 3}" for n in range(1, 6)] + ["block5_pool"]


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")


@pytest.fixture(scope="module")
def whole():
    return build(VGG, 32, "random")


def of_layer(model, layer, images):
    return keras.Model(model.inputs, model.get_layer(layer).output).predict(images, verbose=0)


def test_several_cuts_give_the_maps_of_their_layers(whole, images):
    model = build_cut(VGG, 32, "random", ["block2_pool", "block3_pool", ""])
    found = model.predict(images, verbose=0)
    assert [each.shape[1:] for each in found] == [(8, 8, 128), (4, 4, 256), (1, 1, 512)]
    for maps, layer in zip(found, ["block2_pool", "block3_pool", "block5_pool"], strict=True):
        np.testing.assert_allclose(maps, of_layer(whole, layer, images), rtol=1e-4, atol=1e-4)
    assert not model.trainable_weights
    counts = [part.count_params() for part in parts(model)]
    assert counts == [260_160, 1_735_488, 14_714_688]


def test_a_joined_cut_is_the_means_side_by_side(whole, images):
    found = build_cut(VGG, 32, "random", ["block3_pool+block5_pool"]).predict(images, verbose=0)
    means = [
        of_layer(whole, block, images).mean((1, 2)) for block in ("block3_pool", "block5_pool")
    ]
    np.testing.assert_allclose(found[:, 0, 0], np.hstack(means), rtol=1e-4, atol=1e-4)


def test_the_last_layer_at_each_resolution_is_known(whole):
    assert last_maps(whole) == LAST
    first = build(VGG, 32, "random", channels_first=True)
    assert last_maps(first, channels_first=True) == LAST


def test_an_absent_layer_is_refused_with_those_that_are_there():
    with pytest.raises(UsageError, match=r"of VGG16 .*'block9'. There is no such.*block5_pool"):
        build_cut(VGG, 32, "random", ["block9"])
