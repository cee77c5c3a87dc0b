"""Inspection of backbones by name, and of real saved models with and without each mistake."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from headfit import assembly
from headfit.backbones.build import untrained
from headfit.backbones.catalog import find
from headfit.errors import EngineError, ModelFileError, UnknownNameError, UsageError
from headfit.heads.chain import parse_head
from headfit.inspection.describe import of_file
from headfit.inspection.inspect import inspect

GOLDEN = Path(__file__).parent / "data" / "parameters.csv"
ROWS = list(csv.DictReader(GOLDEN.read_text().splitlines()))
SIDE, K = 16, 3


# small models, as a user writes them


def backbone(frozen: bool = True, norms: bool = False, side: int | None = SIDE) -> keras.Model:
    """Two convolutions, 4×4×6 out of 16×16×3, with batch normalisation left trainable or not."""
    image = keras.Input((side, side, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="conv_a")(image)
    x = layers.BatchNormalization(name="norm_a")(x)
    x = layers.Conv2D(6, 3, strides=2, padding="same", name="conv_b")(x)
    x = layers.BatchNormalization(name="norm_b")(x)
    model = keras.Model(image, layers.ReLU(name="relu_b")(x), name="small")
    if frozen:
        model.trainable = False
        for layer in model.layers if norms else []:
            layer.trainable = isinstance(layer, layers.BatchNormalization)
    return model


def classifier(
    base: keras.Model | None = None,
    last: Callable[[Any], Any] | None = None,
    training: bool | None = None,
    scale: float | None = None,
) -> keras.Model:
    image = keras.Input((SIDE, SIDE, 3))
    x = image if scale is None else layers.Rescaling(scale, name="outside")(image)
    x = (base or backbone())(x, **({} if training is None else {"training": training}))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, (last or dense("softmax"))(x))


def dense(activation: str | None, units: int = K) -> Callable[[Any], Any]:
    return layers.Dense(units, activation=activation, name="last")


def scores_then_softmax(x: Any) -> Any:
    return layers.Softmax(name="softmax")(dense(None)(x))


def doubled(x: Any) -> Any:
    return layers.Activation("softmax", name="again")(dense("softmax")(x))


def compiled(model: keras.Model, loss: Any) -> keras.Model:
    model.compile("adam", loss)
    return model


def fitted(model: keras.Model) -> keras.Model:
    """Train for one step, so that the optimizer keeps its arrays."""
    compiled(model, "sparse_categorical_crossentropy")
    model.fit(np.zeros((2, SIDE, SIDE, 3), "float32"), np.array([0, 1]), verbose=0)
    return model


def unfreeze(model: keras.Model) -> keras.Model:
    model.trainable = True
    return model


def with_new_norm(nested: bool) -> keras.Model:
    """Batch normalisation of the user's own between a frozen backbone and the pooling."""
    base = backbone()
    image = keras.Input((SIDE, SIDE, 3)) if nested else base.input
    x = layers.BatchNormalization()(base(image) if nested else base.output)
    return keras.Model(image, dense("softmax")(layers.GlobalAveragePooling2D()(x)))


LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
BINARY = "binary_crossentropy"
SPARSE = "sparse_categorical_crossentropy"

MISTAKES: dict[str, tuple[str, Callable[[], keras.Model], int | None]] = {
    "no activation": (
        "softmax_missing",
        lambda: compiled(classifier(last=dense(None)), SPARSE),
        None,
    ),
    "relu": ("softmax_missing", lambda: compiled(classifier(last=dense("relu")), SPARSE), None),
    "not compiled": ("softmax_missing", lambda: classifier(last=dense(None)), None),
    "no sigmoid": (
        "softmax_missing",
        lambda: compiled(classifier(last=dense(None, 1)), BINARY),
        None,
    ),
    "two softmax": ("softmax_doubled", lambda: classifier(last=doubled), None),
    "softmax in the loss": ("softmax_doubled", lambda: compiled(classifier(), LOGITS), None),
    "norms trainable": ("batchnorm_training", lambda: classifier(backbone(norms=True)), None),
    "training=True": (
        "batchnorm_training",
        lambda: classifier(backbone(frozen=False), training=True),
        None,
    ),
    "unfrozen after fit": (
        "trainable_changed_after_compile",
        lambda: unfreeze(fitted(classifier())),
        None,
    ),
    "class count": ("class_count", classifier, K + 2),
    "one softmax unit": ("class_count", lambda: classifier(last=dense("softmax", 1)), None),
}
SOUND: dict[str, tuple[Callable[[], keras.Model], int | None]] = {
    "frozen": (classifier, K),
    "softmax apart": (lambda: classifier(last=scores_then_softmax), None),
    "logits in the loss": (lambda: compiled(classifier(last=dense(None)), LOGITS), None),
    "sigmoid": (lambda: compiled(classifier(last=dense("sigmoid", 1)), BINARY), 2),
    "regression": (lambda: compiled(classifier(last=dense(None, 1)), "mse"), None),
    "a new norm on a frozen backbone": (lambda: with_new_norm(nested=True), None),
    "a new norm on frozen layers": (lambda: with_new_norm(nested=False), None),
    "norms called with training=False": (
        lambda: classifier(backbone(norms=True), training=False),
        None,
    ),
    "frozen called with training=True": (lambda: classifier(training=True), None),
    "trained from scratch": (lambda: classifier(backbone(frozen=False)), None),
    "fitted": (lambda: fitted(classifier()), None),
    "compiled again after unfreezing": (
        lambda: compiled(unfreeze(fitted(classifier())), SPARSE),
        None,
    ),
    "scaled once": (lambda: classifier(scale=1 / 255), None),
}
SUFFIXES = ("keras", "h5")


def save(model: keras.Model, folder: Path, suffix: str = "keras") -> Path:
    path = folder / f"model.{suffix}"
    model.save(path)
    return path


def codes(found: dict[str, Any]) -> list[str]:
    return [finding["code"] for finding in found["findings"]]


# by name


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['backbone']}-{row['input_size']}")
def test_every_golden_row(row: dict[str, str]) -> None:
    size = int(row["input_size"])
    found = inspect(row["backbone"], size, 10)
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
        published = inspect(row["backbone"], size)
        assert published["parameters"]["total"] == int(row["params_with_top"])
        assert published["classes"] == 1000


def test_vgg16_in_words() -> None:
    found = inspect("vgg_16")
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
    found = inspect("efficientnet_lite0", 128, 5, head)
    count = parse_head(head).parameters((4, 4, 1280), 5)
    assert found["parameters"] == {
        "backbone": 3_413_024,
        "head": count,
        "total": 3_413_024 + count,
    }
    assert [other["head"] for other in found["alternatives"]] == [head]
    assert found["alternatives"][0]["parameters"]["head"] == count


def test_a_head_that_does_not_fit_the_map() -> None:
    small = inspect("MobileNet", 64, 4)
    assert small["map_shape"] == [2, 2, 1024]
    assert "spp" not in {other["head"] for other in small["alternatives"]}
    with pytest.raises(UsageError, match="at least 4×4"):
        inspect("MobileNet", 64, 4, "spp")


def test_a_name_or_value_that_cannot_be() -> None:
    for arguments, kind, words in [
        (("mobilnet",), UnknownNameError, "Did you mean 'MobileNet"),
        (("MobileNet", 16), UsageError, "32 to 2048"),
        (("MobileNet", 0), UsageError, "--size 0"),
        (("MobileNet", None, 1), UsageError, "--classes 1"),
        (("MobileNet", None, None, "gapp"), UnknownNameError, "gapp"),
        (("absent.keras",), UsageError, "does not exist"),
        (("models/absent",), UsageError, "does not exist"),
        ((str(Path(__file__).parent),), UsageError, "is a folder"),
    ]:
        with pytest.raises(kind, match=words):
            inspect(*arguments)


# files


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(mistake: str, suffix: str, tmp_path: Path) -> None:
    code, make, classes = MISTAKES[mistake]
    # in this process, which has Keras already; other tests go through the child
    found = of_file(str(save(make(), tmp_path, suffix)), None, classes)
    assert codes(found) == [code], found["findings"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_found_where_nothing_is_wrong(name: str, suffix: str, tmp_path: Path) -> None:
    make, classes = SOUND[name]
    assert of_file(str(save(make(), tmp_path, suffix)), None, classes)["findings"] == []


def test_flatten_on_an_undefined_shape(tmp_path: Path) -> None:
    open_size = keras.Sequential([backbone(side=None), layers.Flatten(name="flat")])
    found = inspect(save(open_size, tmp_path))
    assert codes(found) == ["flatten_on_undefined_shape"]
    assert "'flat' stands on a map of ?×?×6" in found["findings"][0]["message"]
    assert (found["input_size"], found["map_shape"]) == (224, [56, 56, 6])
    assert found["assumed"] == ["size", "classes"]
    said = inspect(save(open_size, tmp_path), size=64, classes=5)
    assert (said["map_shape"], said["assumed"]) == ([16, 16, 6], [])
    fixed = keras.Sequential([backbone(), layers.Flatten(), layers.Dense(K, "softmax")])
    assert of_file(str(save(fixed, tmp_path)), None, None)["findings"] == []
    averaged = keras.Sequential([backbone(side=None), layers.GlobalAveragePooling2D()])
    assert of_file(str(save(averaged, tmp_path)), None, None)["findings"] == []


@pytest.mark.parametrize(
    "name",
    [
        "MobileNetV3Small",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("EfficientNetB0", "ConvNeXtTiny")
        ),
    ],
)
@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("scaled", ["layer", "operation", "not"])
def test_preprocessing_inside_and_outside(
    name: str, nested: bool, scaled: str, tmp_path: Path
) -> None:
    image = keras.Input((32, 32, 3))
    x = image
    if scaled == "layer":
        x = layers.Rescaling(1 / 127.5, -1, name="outside")(image)
    if scaled == "operation":
        x = image / 255.0
    constructor = getattr(keras.applications, name)
    with untrained():
        if nested:
            x = constructor(include_top=False, weights=None, input_shape=(32, 32, 3))(x)
        else:
            x = constructor(include_top=False, weights=None, input_tensor=x).output
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(K, "softmax")(x))
    found = of_file(str(save(model, tmp_path)), None, K)
    assert codes(found) == ([] if scaled == "not" else ["preprocessing_twice"])
    if nested:
        assert found["backbone"] == name


def test_what_a_file_cannot_show_is_said(tmp_path: Path) -> None:
    for model, words in [
        (classifier(), "no compilation"),
        (compiled(classifier(), SPARSE), "never ran"),
        (fitted(classifier()), ""),
    ]:
        unseen = of_file(str(save(model, tmp_path)), None, None)["unseen"]
        assert [each["code"] for each in unseen] == ["trainable_changed_after_compile"] * bool(
            words
        )
        assert words in "".join(each["message"] for each in unseen)


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
    found = of_file(str(save(model, tmp_path)), None, None)
    own = count + (features.shape[-1] + 1) * K
    assert found["map_shape"] == [4, 4, 6]
    assert found["parameters"]["head"] == own
    assert found["parameters"]["total"] == model.count_params()
    assert found["parameters"]["backbone"] == model.count_params() - own


def test_a_sequential_model_in_a_sequential_model(tmp_path: Path) -> None:
    parts = [layers.Conv2D(6, 3, strides=4, padding="same"), layers.BatchNormalization()]
    top = keras.Sequential([layers.Flatten(), layers.Dense(K, "softmax")])
    model = keras.Sequential([keras.Input((SIDE, SIDE, 3)), keras.Sequential(parts), top])
    found = of_file(str(save(model, tmp_path)), None, K)
    assert found["map_shape"] == [4, 4, 6]
    assert found["parameters"] == {"backbone": 168 + 24, "head": 291, "total": 483}
    assert found["findings"] == []


def test_augmentation_and_an_oblong_image(tmp_path: Path) -> None:
    image = keras.Input((16, 24, 3))
    augment = keras.Sequential([layers.RandomFlip(), layers.RandomRotation(0.1)])
    x = layers.Flatten()(inlined(layers.Rescaling(1 / 255)(augment(image))))
    model = keras.Model(image, layers.Dense(K, "softmax")(x))
    found = inspect(save(model, tmp_path))
    assert (found["input_size"], found["map_shape"]) == ([16, 24], [4, 6, 6])
    assert found["findings"] == []
    assert found["sentences"] == [
        "Flatten → Dense(3) holds 435 of 603 parameters, 72 %; with gap in Flatten's place 21."
    ]


def test_a_model_that_headfit_wrote(tmp_path: Path) -> None:
    spec, path = find("efficientnet_lite0"), tmp_path / "model.keras"
    kernel, bias = np.zeros((1280, K), np.float32), np.zeros(K, np.float32)
    np.savez(tmp_path / "head.npz", **{"0": kernel, "1": bias})
    contract = spec.contract(64).to_dict()
    weights = str(tmp_path / "head.npz")
    assembly.write_model(spec.name, "random", contract, "lse", None, K, weights, str(path))
    found = inspect(path, classes=K)
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
    found = inspect(save(model, tmp_path), classes=1000)
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
        of_file(str(path), None, None)
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
        (cut, "cannot be read"),
        (text, "neither a zip archive nor HDF5"),
        (empty, "neither a zip archive nor HDF5"),
    ]:
        with pytest.raises(ModelFileError, match=words):
            of_file(str(path), None, None)


def test_a_class_that_keras_does_not_know(tmp_path: Path) -> None:
    class Mine(layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    model = keras.Sequential([keras.Input((8, 8, 3)), Mine(), layers.Flatten()])
    for suffix in SUFFIXES:
        with pytest.raises(EngineError, match=r"Keras cannot load '.*': .* 'Mine'\. Expected"):
            of_file(str(save(model, tmp_path, suffix)), None, None)
    with pytest.raises(ModelFileError, match=r"^Keras cannot load '.*': .* 'Mine'\. Expected"):
        inspect(tmp_path / "model.keras")


def test_a_size_that_the_model_does_not_take(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="it takes 16×16 pixels"):
        of_file(str(save(classifier(), tmp_path)), 32, None)
