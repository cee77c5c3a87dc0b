"""Each mistake is found in a real saved model that has it, and in none that has not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers

from headfit.backbones.build import untrained
from headfit.inspection.describe_child import describe_file
from headfit.inspection.inspect import FileInspection, inspect
from small_models import (
    SIDE,
    SPARSE,
    SUFFIXES,
    K,
    backbone,
    classifier,
    codes,
    compiled,
    dense,
    fitted,
    save,
)


def describe(path: str, size: int | None, classes: int | None) -> dict[str, Any]:
    return describe_file(FileInspection(path, size, classes))


def scores_then_softmax(x: Any) -> Any:
    return layers.Softmax(name="softmax")(dense(None)(x))


def doubled(x: Any) -> Any:
    return layers.Activation("softmax", name="again")(dense("softmax")(x))


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


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(mistake: str, suffix: str, tmp_path: Path) -> None:
    code, make, classes = MISTAKES[mistake]
    # in this process, which has Keras already; other tests go through the child
    found = describe(str(save(make(), tmp_path, suffix)), None, classes)
    assert codes(found) == [code], found["findings"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_found_where_nothing_is_wrong(name: str, suffix: str, tmp_path: Path) -> None:
    make, classes = SOUND[name]
    assert describe(str(save(make(), tmp_path, suffix)), None, classes)["findings"] == []


def test_flatten_on_an_undefined_shape(tmp_path: Path) -> None:
    open_size = keras.Sequential([backbone(side=None), layers.Flatten(name="flat")])
    found = inspect(save(open_size, tmp_path)).to_dict()
    assert codes(found) == ["flatten_on_undefined_shape"]
    assert "'flat' flattens a map of ?×?×6" in found["findings"][0]["message"]
    assert (found["input_size"], found["map_shape"]) == (224, [56, 56, 6])
    assert found["assumed"] == ["size", "classes"]
    said = inspect(save(open_size, tmp_path), size=64, classes=5).to_dict()
    assert (said["map_shape"], said["assumed"]) == ([16, 16, 6], [])
    fixed = keras.Sequential([backbone(), layers.Flatten(), layers.Dense(K, "softmax")])
    assert describe(str(save(fixed, tmp_path)), None, None)["findings"] == []
    averaged = keras.Sequential([backbone(side=None), layers.GlobalAveragePooling2D()])
    assert describe(str(save(averaged, tmp_path)), None, None)["findings"] == []


SCALED = ("layer", "operation", "not")
INSIDE = [
    *(("MobileNetV3Small", scaled, nested) for scaled in SCALED for nested in (True, False)),
    # large networks: each way of scaling once, nested and not in turn
    *(
        pytest.param(name, scaled, number % 2 == 0, marks=pytest.mark.slow)
        for first, name in enumerate(("EfficientNetB0", "ConvNeXtTiny"))
        for number, scaled in enumerate(SCALED, first)
    ),
]


@pytest.mark.parametrize(("name", "scaled", "nested"), INSIDE)
def test_preprocessing_inside_and_outside(
    name: str, scaled: str, nested: bool, tmp_path: Path
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
    found = describe(str(save(model, tmp_path)), None, K)
    assert codes(found) == ([] if scaled == "not" else ["preprocessing_twice"])
    if nested:
        assert found["backbone"] == name


def test_what_a_file_cannot_show_is_said(tmp_path: Path) -> None:
    for model, words in [
        (classifier(), "not compiled"),
        (compiled(classifier(), SPARSE), "never ran"),
        (fitted(classifier()), ""),
    ]:
        unseen = describe(str(save(model, tmp_path)), None, None)["unseen"]
        assert [each["code"] for each in unseen] == ["trainable_changed_after_compile"] * bool(
            words
        )
        assert words in "".join(each["message"] for each in unseen)


def test_a_model_of_numbers_misses_no_softmax(tmp_path: Path) -> None:
    last = layers.Dense(K, name="head_linear")  # what headfit calls it
    assert "softmax_missing" not in codes(
        describe(str(save(classifier(last=last), tmp_path)), None, None)
    )
