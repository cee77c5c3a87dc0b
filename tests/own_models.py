"""Models as users bring them to be backbones, each with the layer whose output is its map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

SIDE = 16


def net(side: int | None = SIDE, name: str = "net") -> keras.Model:
    """16×16×3 to 4×4×6, with statistics that matter."""
    image = keras.Input((side, side, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="conv_a")(image)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="conv_b")(x)
    return drawn(keras.Model(image, x, name=name))


def drawn(model: keras.Model, seed: int = 0) -> keras.Model:
    """Give every weight a number of its own, the same on each backend."""
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.05, 0.3, w.shape).astype(w.dtype) for w in model.weights])
    return model


def top(maps: Any, units: int = 3) -> Any:
    return layers.Dense(units, name="last")(layers.GlobalAveragePooling2D(name="pool")(maps))


def functional() -> keras.Model:
    model = net()
    return keras.Model(model.input, top(model.output))


def open_size() -> keras.Model:
    model = net(None)
    return keras.Model(model.input, top(model.output))


def nested() -> keras.Model:
    """Scaling and augmentation, a nested model, a head."""
    first = [layers.Rescaling(1 / 127.5, -1, name="scale"), layers.RandomFlip(name="flip")]
    last = [layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")]
    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), *first, net(), *last])


def nested_twice() -> keras.Model:
    """Two nested models whose layers have the same names."""
    image = keras.Input((SIDE, SIDE, 3))
    inner = keras.Input((4, 4, 6))
    again = layers.Conv2D(5, 1, name="conv_a")(inner)
    second = drawn(keras.Model(inner, layers.ReLU(name="relu")(again), name="second"), 1)
    return keras.Model(image, top(second(net()(image))))


def flattened() -> keras.Model:
    return keras.Sequential([net(), layers.Flatten(), layers.Dense(4), layers.Dense(3)])


def mixed() -> keras.Model:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return functional()
    finally:
        keras.config.set_dtype_policy("float32")


def tokens() -> keras.Model:
    """A transformer of one block on 4×4 patches."""
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(8, 4, strides=4, name="patches")(image)
    x = layers.Reshape((-1, 8))(x)
    attended = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = layers.LayerNormalization(name="end")(layers.Add()([x, attended]))
    return drawn(keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling1D()(x))))


@keras.saving.register_keras_serializable("headfit-tests")
class ClassToken(layers.Layer):
    """Puts tokens in front of all others."""

    def __init__(self, count: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.count = count

    def build(self, shape: Any) -> None:
        self.token = self.add_weight(shape=(1, self.count, shape[-1]), name="token")

    def call(self, x: Any) -> Any:
        token = keras.ops.repeat(self.token, keras.ops.shape(x)[0], axis=0)
        return keras.ops.concatenate([token, x], axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "count": self.count}


def class_token(count: int = 1) -> keras.Model:
    """Tokens of which the first stands for the image, and classifies it."""
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(8, 4, strides=4, name="patches")(image)
    x = ClassToken(count, name="class_token")(layers.Reshape((-1, 8))(x))
    x = layers.LayerNormalization(name="end")(x)
    return drawn(keras.Model(image, layers.Dense(3)(x[:, 0])))


def squeezed() -> keras.Model:
    """Squeeze and excitation, dropped maps, two branches, a sum: all that can be turned."""
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 255, name="scale")(image)
    x = net()(x)
    gate = layers.Reshape((1, 1, 6))(layers.GlobalAveragePooling2D()(x))
    gate = layers.Conv2D(6, 1, activation="sigmoid", name="gate")(gate)
    x = layers.Multiply()([x, gate])
    x = layers.Dropout(0.2, noise_shape=(None, 1, 1, 1), name="drop_whole_maps")(x)
    branches = [
        layers.Conv2D(4, 3, padding="same", name="branch")(x),
        layers.MaxPooling2D(2, 1, "same")(x),
    ]
    x = layers.Concatenate(name="joined")(branches)
    return drawn(keras.Model(image, top(keras.ops.relu(x + 0.5))))


class Careless(layers.Layer):
    """Writes more into its configuration than it takes."""

    def call(self, x: Any) -> Any:
        return keras.ops.copy(x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "derived": 1}


def careless() -> keras.Model:
    model = net()
    x = Careless(name="careless")(model.get_layer("conv_a").output)
    for name in ("norm", "conv_b"):
        x = model.get_layer(name)(x)
    return keras.Model(model.input, top(x))


def normed() -> keras.Model:
    """One whose last layer is not known to turn."""
    model = net()
    return keras.Model(model.input, top(layers.LayerNormalization()(model.output)))


def rows() -> keras.Model:
    """A map whose rows are a sequence for a recurrent layer: no tokens."""
    model = net()
    x = layers.Reshape((4, 24))(model.output)
    return keras.Model(model.input, layers.Dense(3)(layers.GRU(5, unroll=True)(x)))


def positions() -> keras.Model:
    """One that keeps a weight for each position, so it has one size only."""
    model = net()
    x = layers.Reshape((16, 6))(model.output)
    x = layers.Dense(16, name="over_positions")(layers.Permute((2, 1))(x))
    x = layers.Reshape((4, 4, 6), name="end")(layers.Permute((2, 1))(x))
    return drawn(keras.Model(model.input, top(x)))


def vectors() -> keras.Model:
    image = keras.Input((SIDE, SIDE, 3))
    return keras.Model(image, layers.Dense(3)(layers.Dense(4)(layers.Flatten()(image))))


def two_maps() -> keras.Model:
    model = net()
    both = [layers.GlobalAveragePooling2D()(model.get_layer(n).output) for n in ("norm", "conv_b")]
    return keras.Model(model.input, layers.Dense(3)(layers.Concatenate()(both)))


def two_images() -> keras.Model:
    images = [keras.Input((SIDE, SIDE, 3)) for _ in range(2)]
    model = net()
    return keras.Model(images, top(layers.Add()([model(image) for image in images])))


def oblong() -> keras.Model:
    image = keras.Input((SIDE, 2 * SIDE, 3))
    return keras.Model(image, top(layers.Conv2D(3, 3)(image)))


def grey() -> keras.Model:
    image = keras.Input((SIDE, SIDE, 1))
    return keras.Model(image, top(layers.Conv2D(3, 3)(image)))


Build = Callable[[], keras.Model]
