from __future__ import annotations

import inspect

import numpy as np
import pytest

from headfit.backbones.catalog import DEFAULT, MAX_SIZE, find, names
from headfit.errors import ModelFileError, UnknownNameError, UsageError

SIZES = {
    "efficientnet_lite0": 224,
    "efficientnet_lite2": 260,
    "MobileNet": 224,
    "VGG16": 224,
    "InceptionV3": 299,
    "Xception": 299,
    "NASNetLarge": 331,
    "EfficientNetB3": 300,
    "EfficientNetB7": 600,
    "EfficientNetV2S": 384,
}


@pytest.fixture(scope="module")
def applications():
    import keras  # noqa: PLC0415  (seconds, not paid by the other tests)

    return keras.applications


@pytest.mark.parametrize(
    "spelling", ["MobileNetV2", "mobilenetv2", "mobilenet_v2", "MOBILENET-V2", "mobile_net_v2"]
)
def test_spellings_of_one_name(spelling):
    assert find(spelling).name == "MobileNetV2"


def test_an_unknown_name_suggests_the_nearest_and_lists_all():
    with pytest.raises(UnknownNameError, match="Did you mean 'ResNet50'") as caught:
        find("resnet5O")
    assert all(name in str(caught.value) for name in names())
    with pytest.raises(UnknownNameError, match="Did you mean 'efficientnet_lite0'"):
        find("efficientnet_light0")


def test_the_default_is_the_first():
    assert names()[0] == DEFAULT == find(DEFAULT).name


def test_every_model_of_keras_applications_is_there_and_no_other(applications):
    theirs = {n for n, value in vars(applications).items() if inspect.isfunction(value)}
    assert theirs
    assert theirs == {name for name in names() if not find(name).package}


@pytest.mark.parametrize("name", [name for name in names() if not find(name).package])
def test_the_contract_preprocesses_as_keras_does(applications, name):
    home = getattr(applications, getattr(applications, name).__module__.rsplit(".", 1)[-1])
    pixels = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3)).astype(np.uint8)
    pixels[0, 0] = [[0, 0, 0], [255, 255, 255]] * 20
    contract = find(name).contract(max(40, find(name).min_size))
    pixels = np.resize(pixels, (2, contract.height, contract.width, 3))
    expected = home.preprocess_input(pixels.astype(np.float32))
    np.testing.assert_allclose(contract.apply(pixels), expected, atol=1e-4)


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_default_sizes(name, size):
    contract = find(name).contract()
    assert (contract.height, contract.width) == (size, size)


@pytest.mark.parametrize(
    ("name", "size"), [("MobileNet", 31), ("Xception", 70), ("VGG16", MAX_SIZE + 1), ("VGG16", -1)]
)
def test_a_size_out_of_range_is_refused(name, size):
    with pytest.raises(UsageError, match=rf"`size` must be from \d+ to \d+ pixels for {name}"):
        find(name).contract(size)
    assert find(name).contract(find(name).min_size).height == find(name).min_size


def test_a_file_that_is_no_model_is_not_taken_for_a_name(tmp_path):
    file = tmp_path / "results.json"
    file.write_text("{}")
    with pytest.raises(ModelFileError, match="is neither a zip archive nor HDF5"):
        find(str(file))
