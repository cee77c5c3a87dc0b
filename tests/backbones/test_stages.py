"""Where a backbone can be divided, and the part of it that is trained."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from headfit.backbones.build import build
from headfit.backbones.catalog import find
from headfit.backbones.cut import cut
from headfit.backbones.stages import stages, starting_at, tail
from headfit.errors import UsageError
from own_models import net

# side of the images, stages, start of the last stage, its map
LAST_STAGES = {
    "efficientnet_lite0": (96, 5, "block10_add", (6, 6, 112)),
    "MobileNet": (96, 5, "conv_pw_11_relu", (6, 6, 512)),
    "MobileNetV2": (96, 5, "block_12_add", (6, 6, 96)),
    "ResNet50": (64, 5, "conv4_block6_out", (4, 4, 1024)),
    "VGG16": (64, 5, "block4_pool", (4, 4, 512)),
    "DenseNet121": (64, 5, "pool4_pool", (2, 2, 512)),
    "EfficientNetB0": (64, 5, "block5c_add", (4, 4, 112)),
}


@pytest.fixture(scope="module")
def lite():
    return build(find("efficientnet_lite0"), 64, "random")


@pytest.mark.parametrize("name", LAST_STAGES)
def test_the_last_stage_begins_before_the_layers_that_widen_its_map(name):
    side, count, start, map_shape = LAST_STAGES[name]
    model = build(find(name), side, "random")
    parts = stages(model)
    assert (len(parts), parts[-1].start, parts[-1].map_shape) == (count, start, map_shape)
    assert parts[0].map_shape == (side, side, 3)
    assert sum(stage.parameters for stage in parts) == model.count_params()
    layers = [layer for stage in parts for layer in stage.layers]
    assert sorted(layers) == sorted(layer.name for layer in model.layers[1:])
    end = tail(model, start)
    assert end.count_params() == parts[-1].parameters
    assert end.output_shape == model.output_shape


def test_the_tail_continues_where_the_cut_ends(lite):
    images = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype("float32")
    expected = lite(images)
    for start in ("block13_add", "block4_add"):
        end = tail(lite, start)
        maps = cut(lite, [start], lite.name)([images])
        np.testing.assert_allclose(end(maps), expected, rtol=1e-5, atol=1e-6)
        names = {layer.name for layer in end.layers}
        assert "top_conv" in names and f"{start[:-4]}_project_conv" not in names
    whole = tail(lite, "")
    np.testing.assert_allclose(whole(images), expected, rtol=1e-5, atol=1e-6)


def test_training_starts_at_the_last_stage_or_at_several_or_after_a_layer(lite):
    assert starting_at(lite, "last") == starting_at(lite, 1) == "block10_add"
    assert starting_at(lite, 2) == starting_at(lite, "2") == "block4_add"
    assert starting_at(lite, "all") == starting_at(lite, 5) == ""
    assert starting_at(lite, "block12_add") == "block12_add"


@pytest.mark.parametrize(
    ("unfreeze", "message"),
    [
        (6, r"from 1 to 5, the number of stages of efficientnet_lite0\. .* block4_add, block10"),
        (0, r"from 1 to 5"),
        ("block99", r"There is no such layer\. The stages after the first start at block0"),
        ("block12_expand_conv", "Other paths lead around this layer"),
        ("top_relu", "Nothing follows this layer"),
    ],
)
def test_other_places_are_refused(lite, unfreeze, message):
    with pytest.raises(UsageError, match=message):
        starting_at(lite, unfreeze)


def test_a_network_of_one_resolution_is_one_stage():
    image = keras.Input((8, 8, 3))
    maps = keras.layers.Conv2D(4, 3, padding="same", name="only")(image)
    model = keras.Model(image, keras.layers.ReLU()(maps))
    assert [stage.start for stage in stages(model)] == [""]
    with pytest.raises(UsageError, match=r"from 1 to 1, .*There is one stage"):
        starting_at(model, 2)


def test_two_backbones_of_a_process_have_the_same_names():
    first, second = (build(find("MobileNetV3Small"), 32, "random") for _ in range(2))
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]
    assert any(layer.name == "activation" for layer in first.layers)  # as Keras numbers them


def test_own_models_have_stages():
    assert stages(net())[0].start == ""
