"""Convolutions of turned maps give what Keras' layers give, and so do their gradients."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from headfit.finetuning.convolution import convolve
from headfit.finetuning.depthwise import depthwise

CHANNELS, IMAGES = 3, 2
# 4 and 7 are one tile, 20 several; 18 × 7 several along one axis
SIDES = ((4, 4), (7, 7), (18, 7), (20, 20))
CASES = [
    case for case in itertools.product((3, 5), (1, 2), ("same", "valid"), SIDES)
    if case[2] == "same" or min(case[3]) >= case[0]
]  # fmt: skip


@pytest.mark.parametrize(("kernel", "stride", "padding", "sides"), CASES)
def test_depthwise_convolution_and_its_gradients_are_those_of_keras(kernel, stride, padding, sides):
    layer = keras.layers.DepthwiseConv2D(kernel, stride, padding, use_bias=False)
    check(layer, lambda x, w: depthwise(x, w[..., 0], stride, padding), sides)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    list(itertools.product((1, 3), (1, 2), ("same", "valid"))),
)
def test_convolution_and_its_gradients_are_those_of_keras(kernel, stride, padding):
    for sides in ((7, 6), (4, 5)):
        layer = keras.layers.Conv2D(4, kernel, stride, padding, use_bias=False)
        check(layer, lambda x, w: convolve(x, w, stride, padding), sides)


def check(layer, turned, sides):
    """Compare a layer with a function of turned maps and the kernel, in value and gradient."""
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.normal(size=(IMAGES, *sides, CHANNELS)), "float32")
    layer.build(images.shape)
    kernel = jnp.asarray(rng.normal(size=layer.kernel.shape), "float32")

    def ordinary(images, kernel):
        return layer.stateless_call([kernel], [], images)[0]

    def quick(images, kernel):
        return turned(images.transpose(3, 1, 2, 0), kernel).transpose(3, 1, 2, 0)

    @jax.jit
    def both(images, kernel, direction):
        results = [jax.vjp(each, images, kernel) for each in (ordinary, quick)]
        return [(value, *back(direction)) for value, back in results]

    shape = layer.compute_output_shape(images.shape)
    expected, found = both(images, kernel, jnp.asarray(rng.normal(size=shape), "float32"))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=3e-5)
