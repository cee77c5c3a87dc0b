"""KerasHub's backbones, built small with random weights: presets themselves are downloads."""

from __future__ import annotations

import json
from typing import Any

import h5py
import numpy as np
import pytest

from headfit.backbones.build import build
from headfit.backbones.catalog import find
from headfit.backbones.construction import no_drawing
from headfit.backbones.spec import Preprocessing
from headfit.errors import ModelFileError, UsageError, WeightsError
from own_models import drawn

pytestmark = pytest.mark.slow
SIDE = 28


@pytest.fixture(scope="module")
def hub():
    return pytest.importorskip("keras_hub", reason="the extra hub is not installed")


@pytest.fixture(autouse=True)
def nothing_is_drawn():
    with no_drawing():
        yield


def resnet(hub: Any) -> Any:
    sizes = {"stackwise_num_filters": [64, 64], "stackwise_num_blocks": [1, 1]}
    stem = {"input_conv_filters": [64], "input_conv_kernel_sizes": [3]}
    strides = {"stackwise_num_strides": [1, 2]}
    return hub.models.ResNetBackbone(**sizes, **stem, **strides, block_type="basic_block")


def vit(hub: Any) -> Any:
    shape = {"image_shape": (SIDE, SIDE, 3), "patch_size": 7}
    return hub.models.ViTBackbone(**shape, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=8)


def dino(hub: Any) -> Any:
    shape = {"image_shape": (SIDE, SIDE, 3), "patch_size": 7, "num_register_tokens": 4}
    size = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 8}
    return hub.models.DINOV2Backbone(**shape, **size)


@pytest.mark.parametrize(("make", "special"), [(resnet, None), (vit, 1), (dino, 5)])
def test_a_preset_in_a_folder_is_a_backbone(make, special, hub, tmp_path):
    drawn(make(hub)).save_to_preset(str(tmp_path / "mine"))
    model = hub.models.Backbone.from_preset(str(tmp_path / "mine"))
    spec = find(f"hub:{tmp_path / 'mine'}")
    assert (spec.name, spec.argument) == ("mine", f"hub:{tmp_path / 'mine'}")
    pixels = np.random.default_rng(0).uniform(0, 1, (2, SIDE, SIDE, 3)).astype("float32")
    images = {"images": pixels} if isinstance(model.input, dict) else pixels
    expected = np.asarray(model(images, training=False))
    if special is not None:
        expected = expected[:, special:].reshape(2, 4, 4, -1)
    found = np.asarray(build(spec, SIDE, "imagenet")(pixels, training=False))
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def test_a_preset_brings_its_preprocessing(hub, tmp_path):
    folder = str(tmp_path / "mine")
    drawn(resnet(hub)).save_to_preset(folder)
    converter = hub.layers.ResNetImageConverter(scale=[0.5, 0.25, 0.125], offset=[-1.0, -2.0, -3.0])
    converter.save_to_preset(folder)
    spec = find(f"hub:{folder}")  # in a child process, as a run does
    assert spec.preprocessing == Preprocessing((0.5, 0.25, 0.125), (-1.0, -2.0, -3.0))
    assert spec.notes == ()
    assert spec.channels_first


def test_a_preset_that_is_not_there_is_told_in_one_line(hub):
    with pytest.raises(WeightsError, match="KerasHub cannot load the preset 'no_such_preset'") as e:
        find("hub:no_such_preset")
    assert "\n" not in str(e.value)


def test_without_keras_hub_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r'Run: pip install "headfit\[hub\]"'):
        find("hub:resnet_18_imagenet")


@pytest.mark.parametrize(
    ("hostile", "reason"),
    [
        ({"class_name": "Lambda", "config": {}, "registered_name": "Lambda"}, "a Lambda layer"),
        ({"module": "os", "class_name": "system", "config": {}}, "'system' of 'os'"),
        ({"config": {"vocabulary": "/etc/passwd"}}, "names a file"),
    ],
)
def test_a_preset_in_a_folder_is_checked_as_a_model_file_is(hostile, reason, hub, tmp_path):
    folder = tmp_path / "mine"
    drawn(resnet(hub)).save_to_preset(str(folder))
    config = json.loads((folder / "config.json").read_text())
    config["config"]["more"] = hostile
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelFileError, match=reason):
        find(f"hub:{folder}")


def test_weights_of_a_preset_that_lie_elsewhere_are_not_opened(hub, tmp_path):
    folder = tmp_path / "mine"
    drawn(resnet(hub)).save_to_preset(str(folder))
    with h5py.File(folder / "model.weights.h5", "a") as arrays:
        arrays["more"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/secret")
    with pytest.raises(ModelFileError, match="is a link"):
        find(f"hub:{folder}")
