"""The quick copy of a backbone's last part computes what Keras computes, and is trained alike."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from keras import layers

from headfit.backbones.build import build
from headfit.backbones.catalog import find
from headfit.backbones.stages import starting_at, tail
from headfit.finetuning import network
from headfit.finetuning.network import trainable_copy, weights_by_layer


def lite():
    """The last stage of a backbone in the form of the pretrained one."""
    model = build(find("efficientnet_lite0"), 96, "random")
    return tail(model, starting_at(model, "last"))


def varied():
    """What other backbones are made of: dense connections, excitation, strides, poolings."""
    image = keras.Input((9, 9, 6))
    x = layers.Activation("silu")(layers.BatchNormalization()(image))
    x = layers.Concatenate()([image, layers.Conv2D(4, 3, padding="same")(x)])
    x = layers.LeakyReLU()(layers.BatchNormalization(scale=False)(x))
    x = layers.ZeroPadding2D(((0, 1), (1, 0)))(layers.Conv2D(8, 1, activation="relu")(x))
    x = layers.BatchNormalization(center=False)(layers.DepthwiseConv2D(3, 2)(x))
    gate = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(x))
    x = layers.Multiply()([x, layers.Conv2D(8, 1, activation="sigmoid")(gate)])
    y = layers.Dropout(0.0, noise_shape=(None, 1, 1, 1))(layers.SeparableConv2D(8, 3, 1, "same")(x))
    x = layers.BatchNormalization()(layers.Conv2D(5, 3, 2, "same")(layers.Add()([x, y])))
    return keras.Model(image, layers.MaxPooling2D()(layers.Dropout(0.0)(x)))


def loss_and_gradients(model, maps):
    trained = [variable.value for variable in model.trainable_variables]
    fixed = [variable.value for variable in model.non_trainable_variables]

    def loss(trained):
        outputs, _ = model.stateless_call(trained, fixed, maps, training=True)
        return (outputs**2).mean()

    return jax.jit(jax.value_and_grad(loss))(trained)


@pytest.mark.parametrize("network_of", [lite, varied])
def test_a_quick_copy_gives_the_value_and_gradients_of_the_layers(network_of, monkeypatch):
    part, rng = network_of(), np.random.default_rng(0)
    for layer in part.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.weights])
    copy = trainable_copy(part)
    maps = jnp.asarray(rng.normal(size=(2, *part.input_shape[1:])), "float32")
    expected = part(maps)
    np.testing.assert_allclose(copy(maps), expected, atol=1e-5 * float(jnp.abs(expected).max()))
    quick = loss_and_gradients(copy, maps)
    monkeypatch.setattr(network, "_on_jax_cpu", lambda: False)
    ordinary = loss_and_gradients(copy, maps)
    np.testing.assert_allclose(quick[0], ordinary[0], rtol=1e-5)
    assert len(quick[1]) == len(copy.trainable_variables) > 10
    for gradient, expected in zip(quick[1], ordinary[1], strict=True):
        np.testing.assert_allclose(gradient, expected, atol=1e-4 * float(jnp.abs(expected).max()))


@pytest.mark.parametrize("quick", [True, False])
def test_training_keeps_the_statistics_of_the_pretraining(quick, monkeypatch):
    monkeypatch.setattr(network, "_on_jax_cpu", lambda: quick)
    image = keras.Input((4, 4, 3))
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 1, name="conv")(image))
    part = keras.Model(image, layers.MaxPooling2D()(x))
    copy = trainable_copy(part)
    copy.compile(keras.optimizers.SGD(0.1), "mse")
    copy.fit(np.ones((4, 4, 4, 3)), np.full((4, 2, 2, 4), 3.0), verbose=0)
    before, after = weights_by_layer(part), weights_by_layer(copy)
    assert list(after) == ["conv", "norm"]
    np.testing.assert_array_equal(after["norm"][2:], before["norm"][2:])  # mean, variance
    assert np.abs(after["norm"][1] - before["norm"][1]).max() > 0  # β
    # what was trained fits the layers that it came from
    for name, weights in after.items():
        part.get_layer(name).set_weights(weights)
    pixels = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype("float32")
    np.testing.assert_allclose(part(pixels), copy(pixels), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("quick", [True, False])
def test_from_scratch_the_statistics_are_those_of_the_batches(quick, monkeypatch):
    monkeypatch.setattr(network, "_on_jax_cpu", lambda: quick)
    rng = np.random.default_rng(0)
    image = keras.Input((5, 5, 3))
    x = layers.DepthwiseConv2D(3, padding="same")(layers.Conv2D(4, 1)(image))
    x = layers.ReLU()(layers.BatchNormalization(name="norm", momentum=0.5)(x))
    part = keras.Model(image, layers.Conv2D(2, 3, name="last")(x))
    copy = trainable_copy(part, learns_statistics=True)
    maps = rng.normal(1, 2, (8, 5, 5, 3)).astype("float32")
    part.trainable = True
    for model in (part, copy):
        model.compile(keras.optimizers.SGD(0.01), "mse")
        model.fit(maps, np.ones((8, 3, 3, 2)), batch_size=8, epochs=3, verbose=0)
    for name, weights in weights_by_layer(part).items():
        for expected, got in zip(weights, weights_by_layer(copy)[name], strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
