"""Small Keras models as users write them, sound and with mistakes, and how they are saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

SIDE, K = 16, 3
SUFFIXES = ("keras", "h5")
SPARSE = "sparse_categorical_crossentropy"


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


def compiled(model: keras.Model, loss: Any) -> keras.Model:
    model.compile("adam", loss)
    return model


def fitted(model: keras.Model) -> keras.Model:
    """Train for one step, so that the optimizer keeps its arrays."""
    compiled(model, "sparse_categorical_crossentropy")
    model.fit(np.zeros((2, SIDE, SIDE, 3), "float32"), np.array([0, 1]), verbose=0)
    return model


def save(model: keras.Model, folder: Path, suffix: str = "keras") -> Path:
    path = folder / f"model.{suffix}"
    model.save(path)
    return path


def codes(found: dict[str, Any]) -> list[str]:
    return [finding["code"] for finding in found["findings"]]
