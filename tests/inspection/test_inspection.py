"""Inspection of backbones by name, and of saved models: where the map ends, what is counted."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from headfit.backbones.catalog import find
from headfit.errors import ModelFileError, UnknownNameError, UsageError
from headfit.heads.chain import parse_head
from headfit.inspection.describe_child import describe_file
from headfit.inspection.inspect import FileInspection, inspect
from headfit.model.assemble_child import write_model
from headfit.model.assembly import Assembly
from small_models import (
    SIDE,
    SUFFIXES,
    K,
    backbone,
    classifier,
    save,
)

GOLDEN = Path(__file__).parents[1] / "data" / "parameters.csv"
# of each family that is built in another way; tests of the backbones hold the rest
FAMILIES = ("VGG16", "MobileNet", "MobileNetV2", "EfficientNetB0")
ROWS = [
    row for row in csv.DictReader(GOLDEN.read_text().splitlines()) if row["backbone"] in FAMILIES
]


# by name


def describe(path: str, size: int | None, classes: int | None) -> dict[str, Any]:
    return describe_file(FileInspection(path, size, classes))


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['backbone']}-{row['input_size']}")
def test_golden_rows(row: dict[str, str]) -> None:
    size = int(row["input_size"])
    found = inspect(row["backbone"], size=size, classes=10).to_dict()
    assert found["schema"] == "headfit.inspection/1"
    assert (found["backbone"], found["input_size"]) == (row["backbone"], size)
    assert found["map_shape"] == [int(row[key]) for key in ("map_h", "map_w", "channels")]
    assert found["parameters"]["backbone"] == int(row["params_no_top"])
    heads = {other["head"]: other for other in found["alternatives"]}
    assert heads["flatten"]["features"] == int(row["flatten_features"])
    assert heads["flatten"]["parameters"]["head"] == int(row["flatten_to_10"])
    assert heads["gap"]["parameters"]["head"] == int(row["gap_to_10"])
    for other in found["alternatives"]:
        parts = other["parameters"]
        assert parts["total"] == found["parameters"]["backbone"] + parts["head"]
    if row["params_with_top"]:
        published = inspect(row["backbone"], size=size).to_dict()
        assert published["parameters"]["total"] == int(row["params_with_top"])
        assert published["classes"] == 1000


def test_vgg16_in_words() -> None:
    found = inspect("vgg_16").to_dict()
    assert found["parameters"]["total"] == 138_357_544
    assert found["sentences"] == [
        "Flatten → Dense(4096) → Dense(4096) → Dense(1000) holds 123,642,856 of 138,357,544 "
        "parameters, 89 %.",
        "Flatten → Dense(4096) holds 102,764,544 of 138,357,544 parameters, 74 %; with gap in "
        "Flatten's place 2,101,248.",
        "gap alone would have 513,000 of 15,227,688 parameters, 3 %.",
    ]
    # 15.5 billion multiply-adds, as published (Simonyan and Zisserman's network, without biases)
    assert found["multiply_adds"]["total"] == 15_470_264_320
    assert found["memory"]["weights_bytes"] == 4 * 138_357_544
    assert [layer["name"] for layer in found["layers"]] == [
        *("block5_conv2", "block5_conv3", "block5_pool", "flatten", "fc1", "fc2", "predictions")
    ]


@pytest.mark.parametrize("head", ["flatten-dropout0.5-256", "gem"])
def test_keras_counts_what_the_head_says(head: str) -> None:
    found = inspect("efficientnet_lite0", size=128, classes=5, head=head).to_dict()
    count = parse_head(head).parameters((4, 4, 1280), 5)
    assert found["parameters"] == {
        "backbone": 3_413_024,
        "head": count,
        "total": 3_413_024 + count,
    }
    assert [other["head"] for other in found["alternatives"]] == [head]
    assert found["alternatives"][0]["parameters"]["head"] == count


def test_a_head_that_does_not_fit_the_map() -> None:
    small = inspect("MobileNet", size=64, classes=4).to_dict()
    assert small["map_shape"] == [2, 2, 1024]
    assert "spp" not in {other["head"] for other in small["alternatives"]}
    with pytest.raises(UsageError, match="at least 4×4"):
        inspect("MobileNet", size=64, classes=4, head="spp")


def test_a_name_or_value_that_cannot_be() -> None:
    for model, options, kind, words in [
        ("mobilnet", {}, UnknownNameError, "Did you mean 'MobileNet"),
        ("MobileNet", {"size": 16}, UsageError, "32 to 2048"),
        ("MobileNet", {"size": 0}, UsageError, "`size` must be an integer of at least 1"),
        ("MobileNet", {"classes": 1}, UsageError, "`classes` must be an integer of at least 2"),
        ("MobileNet", {"head": "gapp"}, UnknownNameError, "gapp"),
        ("absent.keras", {}, UsageError, "does not exist"),
        ("models/absent", {}, UsageError, "does not exist"),
        (str(Path(__file__).parent), {}, UsageError, "is a folder"),
    ]:
        with pytest.raises(kind, match=words):
            inspect(model, **options)


# files


def inlined(x: Any) -> Any:
    return layers.ReLU()(layers.Conv2D(6, 3, strides=4, padding="same")(x))


def two_poolings(x: Any) -> Any:
    both = [layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)]
    return layers.Concatenate()(both)


def kept_axes(x: Any) -> Any:
    x = layers.Dropout(0.1)(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return layers.Reshape((5,))(layers.Conv2D(5, 1)(x))


def averaged_to_one(x: Any) -> Any:
    return layers.Flatten()(layers.AveragePooling2D(4)(x))


@pytest.mark.parametrize("base", [backbone, lambda: inlined], ids=["nested", "inlined"])
@pytest.mark.parametrize(
    ("head", "count"),
    [
        (layers.Flatten(), 0),
        (layers.GlobalMaxPooling2D(), 0),
        (two_poolings, 0),
        (kept_axes, 35),
        (averaged_to_one, 0),
        (lambda x: parse_head("gem-4").build(x, 7), 7 * 4 + 5 * 7 + 1),
    ],
    ids=["flatten", "gmp", "avgmax", "keepdims", "average", "gem-4"],
)
def test_where_the_map_ends(
    base: Callable[[], Any], head: Callable[[Any], Any], count: int, tmp_path: Path
) -> None:
    image = keras.Input((SIDE, SIDE, 3))
    features = head(base()(image))
    model = keras.Model(image, layers.Dense(K, "softmax")(features))
    found = describe(str(save(model, tmp_path)), None, None)
    own = count + (features.shape[-1] + 1) * K
    assert found["map_shape"] == [4, 4, 6]
    assert found["parameters"]["head"] == own
    assert found["parameters"]["total"] == model.count_params()
    assert found["parameters"]["backbone"] == model.count_params() - own


def test_a_sequential_model_in_a_sequential_model(tmp_path: Path) -> None:
    parts = [layers.Conv2D(6, 3, strides=4, padding="same"), layers.BatchNormalization()]
    top = keras.Sequential([layers.Flatten(), layers.Dense(K, "softmax")])
    model = keras.Sequential([keras.Input((SIDE, SIDE, 3)), keras.Sequential(parts), top])
    found = describe(str(save(model, tmp_path)), None, K)
    assert found["map_shape"] == [4, 4, 6]
    assert found["parameters"] == {"backbone": 168 + 24, "head": 291, "total": 483}
    assert found["findings"] == []


def test_augmentation_and_an_oblong_image(tmp_path: Path) -> None:
    image = keras.Input((16, 24, 3))
    augment = keras.Sequential([layers.RandomFlip(), layers.RandomRotation(0.1)])
    x = layers.Flatten()(inlined(layers.Rescaling(1 / 255)(augment(image))))
    model = keras.Model(image, layers.Dense(K, "softmax")(x))
    found = inspect(save(model, tmp_path)).to_dict()
    assert (found["input_size"], found["map_shape"]) == ([16, 24], [4, 6, 6])
    assert found["findings"] == []
    assert found["sentences"] == [
        "Flatten → Dense(3) holds 435 of 603 parameters, 72 %; with gap in Flatten's place 21."
    ]


def test_a_model_that_headfit_wrote(tmp_path: Path) -> None:
    spec, path = find("efficientnet_lite0"), tmp_path / "model.keras"
    kernel, bias = np.zeros((1280, K), np.float32), np.zeros(K, np.float32)
    arrays = {"head_softmax/kernel": kernel, "head_softmax/bias": bias}
    np.savez(tmp_path / "head.npz", **arrays)
    contract = spec.contract(64).to_dict()
    weights = str(tmp_path / "head.npz")
    request = Assembly(
        backbone=spec.name,
        weights="random",
        contract=contract,
        head="lse",
        shape=None,
        scale=1.0,
        classes=K,
        head_weights=weights,
        path=str(path),
    )
    write_model(request)
    found = inspect(path, classes=K).to_dict()
    assert (found["backbone"], found["input_size"]) == ("efficientnet_lite0", 64)
    assert found["parameters"]["backbone"] == 3_413_024
    assert found["parameters"]["head"] == parse_head("lse").parameters((2, 2, 1280), K)
    assert found["findings"] == []


@pytest.mark.slow
def test_alexnet_as_published(tmp_path: Path) -> None:
    def conv(units: int, side: int, groups: int, strides: int = 1) -> keras.Layer:
        padding = "valid" if strides > 1 else "same"
        return layers.Conv2D(
            units,
            side,
            strides,
            padding,
            groups=groups,
            activation="relu",
            kernel_initializer="zeros",
        )

    def full(units: int, activation: str = "relu") -> keras.Layer:
        return layers.Dense(units, activation, kernel_initializer="zeros")

    pool = [layers.MaxPooling2D(3, 2) for _ in range(3)]
    model = keras.Sequential(
        [
            *(keras.Input((227, 227, 3)), conv(96, 11, 1, 4), pool[0], conv(256, 5, 2), pool[1]),
            *(conv(384, 3, 1), conv(384, 3, 2), conv(256, 3, 2), pool[2], layers.Flatten()),
            *(
                layers.Dropout(0.5),
                full(4096),
                layers.Dropout(0.5),
                full(4096),
                full(1000, "softmax"),
            ),
        ]
    )
    found = inspect(save(model, tmp_path), classes=1000).to_dict()
    assert found["map_shape"] == [6, 6, 256]
    assert found["parameters"] == {"backbone": 2_334_080, "head": 58_631_144, "total": 60_965_224}
    assert found["multiply_adds"]["total"] == 724_406_816
    assert found["findings"] == []


def lambda_layer() -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 3)), layers.Lambda(lambda x: x), layers.Flatten()])


def two_outputs() -> keras.Model:
    model = classifier()
    return keras.Model(model.input, [model.output, model.output])


def two_maps() -> keras.Model:
    image = keras.Input((8, 8, 3))
    maps = [image, layers.Conv2D(2, 3)(image)]
    return keras.Model(image, layers.Concatenate()([layers.Flatten()(x) for x in maps]))


def no_image() -> keras.Model:
    return keras.Sequential([keras.Input((8,)), layers.Dense(2)])


def channels_first() -> keras.Model:
    image = keras.Input((3, 8, 8))
    pooled = layers.GlobalAveragePooling2D(data_format="channels_first")(image)
    return keras.Model(image, layers.Dense(2)(pooled))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda_layer, "holds a Lambda layer, which is code"),
        (two_outputs, "2 outputs; expected one"),
        (two_maps, "2 feature maps"),
        (channels_first, "channels first; expected"),
        (no_image, r"inputs of shape \(8,\); expected one image"),
    ],
)
def test_a_model_that_cannot_be_taken_apart(
    make: Callable[[], keras.Model], words: str, suffix: str, tmp_path: Path
) -> None:
    path = save(make(), tmp_path, suffix)
    with pytest.raises(ModelFileError, match=words) as error:
        describe(str(path), None, None)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    weights = tmp_path / "a.weights.h5"
    classifier().save_weights(weights)
    cut = tmp_path / "cut.keras"
    cut.write_bytes(save(classifier(), tmp_path).read_bytes()[:-100])
    text = tmp_path / "text.keras"
    text.write_text("no model")
    empty = tmp_path / "empty.h5"
    empty.write_bytes(b"")
    for path, words in [
        (weights, "holds weights only"),
        (cut, "cut off or damaged"),
        (text, "neither a zip archive nor HDF5"),
        (empty, "is empty"),
    ]:
        with pytest.raises(ModelFileError, match=words):
            describe(str(path), None, None)


def test_a_class_that_keras_does_not_know(tmp_path: Path) -> None:
    class Mine(layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    model = keras.Sequential([keras.Input((8, 8, 3)), Mine(), layers.Flatten()])
    for suffix in SUFFIXES:
        path = save(model, tmp_path, suffix)
        with pytest.raises(ModelFileError, match=r"'.*model\.(keras|h5)' holds 'Mine' of "):
            describe(str(path), None, None)
        with pytest.raises(ModelFileError, match="'Mine'"):
            inspect(path)


def test_a_size_that_the_model_does_not_take(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="it takes 16×16 pixels"):
        describe(str(save(classifier(), tmp_path)), 32, None)
