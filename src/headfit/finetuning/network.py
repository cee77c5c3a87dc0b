"""The part of a backbone that is trained, as a Keras model that a CPU trains quickly.

On JAX's CPU the maps between the layers are kept turned, (channels, height, width, images), where
each convolution is a product of matrices (:mod:`headfit.finetuning.convolution`,
:mod:`headfit.finetuning.depthwise`), and the factor of a batch normalisation multiplies the kernel
before it instead of the map. Layers without a rule get the map as Keras has it. Elsewhere every
layer is called as it is. Imports Keras.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from headfit.backbones.stages import PIXELS, nodes, tail, unfreeze

MOMENTUM = 0.9  # at most; Keras' 0.99 and more take a thousand steps to forget the start


class TrainableNetwork(keras.Model):  # type: ignore[misc]
    """A functional model whose batch normalisations keep their statistics.

    γ and β are trained. Mean and variance remain those of the pretraining, which the batches of a
    small data set would spoil, unless ``learns_statistics`` is set.
    """

    learns_statistics = False

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Give the feature map of maps, or of preprocessed images, channels last."""
        del mask
        learning = bool(training) and self.learns_statistics
        calls = list(nodes(self))
        values = {id(self.inputs[0]): inputs}
        called = _called_learning if learning else _called
        apply = _turned(calls, called, learning=learning) if _on_jax_cpu() else called
        for node in calls:
            args, kwargs = node.arguments.fill_in(values)
            outputs = keras.tree.flatten(apply(node.operation, args, kwargs))
            values |= {id(x): y for x, y in zip(node.outputs, outputs, strict=True)}
        return _plain(values[id(self.outputs[0])])


def trainable_copy(part: keras.Model, *, learns_statistics: bool = False) -> TrainableNetwork:
    """Copy a part of a backbone for training.

    Args:
        part: what :func:`headfit.backbones.stages.tail` returned.
        learns_statistics: whether batch normalisations take the statistics of the batches in
            training, and move their own: for weights that have not learnt anything.

    Returns:
        A model with layers of the same names and weights, all trainable.
    """
    copied = tail(part, PIXELS)
    network = TrainableNetwork(copied.inputs[0], copied.outputs[0], name=part.name)
    unfreeze(network)
    network.learns_statistics = learns_statistics
    if learns_statistics:
        for layer in network.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = min(layer.momentum, MOMENTUM)
    return network


def weights_by_layer(model: keras.Model) -> dict[str, list[np.ndarray]]:
    """Give the weights of each layer that has any, in the order of Keras' ``get_weights``."""
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def _called(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a layer as it is, a batch normalisation as in inference."""
    if isinstance(operation, keras.layers.BatchNormalization | keras.Model):
        kwargs = {**kwargs, "training": False}
    return operation(*args, **kwargs)


def _called_learning(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a layer as it is, a batch normalisation on the statistics of the batch."""
    if isinstance(operation, keras.layers.BatchNormalization):
        kwargs = {**kwargs, "training": True}
    return operation(*args, **kwargs)


def _turned(calls: list[Any], called: Any, *, learning: bool) -> Any:
    """Make what calls a layer on turned maps where there is a rule for it."""
    from headfit.finetuning.turned import Rules, turn_back  # noqa: PLC0415  (imports JAX)

    rules = Rules(calls, learning=learning)

    def apply(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        inputs = [value for value in keras.tree.flatten(args) if value is not None]
        plain = all(value is None for value in kwargs.values())
        result = rules.apply(operation, inputs) if plain else None
        if result is None:
            args, kwargs = keras.tree.map_structure(turn_back, (args, kwargs))
            result = called(operation, args, kwargs)
        return result

    return apply


def _plain(value: Any) -> Any:
    """Give a result as Keras has it."""
    if keras.backend.backend() != "jax":
        return value
    from headfit.finetuning.turned import turn_back  # noqa: PLC0415  (imports JAX)

    return turn_back(value)


def _on_jax_cpu() -> bool:
    if keras.backend.backend() != "jax":
        return False
    import jax  # noqa: PLC0415  (only where Keras runs on it)

    return jax.default_backend() == "cpu"
