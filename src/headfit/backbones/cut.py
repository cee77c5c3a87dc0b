"""A backbone that ends earlier: at the map of an inner layer, or of several.

A cut is the name of a layer, whose output becomes the feature map; ``a+b`` joins the means of two
layers over their positions to one map of 1 × 1 (Head2Toe's features, Evci 2022), and ``multi``
those of the last layers at the last three resolutions. ``end`` or an empty cut is the backbone as
it is. Imports Keras.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras

from headfit.backbones.build import build
from headfit.backbones.catalog import BackboneSpec
from headfit.backbones.engines.interface import JOIN, MULTI, OWN_END
from headfit.errors import UsageError

SHOWN = 6
RESOLUTIONS = 3  # that MULTI joins: earlier layers hold edges and colours
_MEAN = "mean_of_"


def build_cut(
    spec: BackboneSpec,
    size: int,
    weights: str,
    cuts: Sequence[str] = ("",),
    *,
    channels_first: bool = False,
) -> keras.Model:
    """Build a backbone that gives the maps of one cut or several.

    Args:
        spec: which one.
        size: side of the square input in pixels.
        weights: ``"imagenet"``, ``"random"`` or the path of a weights file.
        cuts: where it ends; several give a model of several outputs.
        channels_first: build the graph for (3, size, size) instead of (size, size, 3).

    Returns:
        A frozen model from preprocessed images to a map for each cut.

    Raises:
        UsageError: if a cut does not name a layer that outputs a feature map.
        WeightsError: if the weights are not available or do not fit.
    """
    model = build(spec, size, weights, channels_first=channels_first)
    if list(cuts) == [""]:
        return model
    return cut(model, cuts, spec.name, channels_first=channels_first)


def cut(
    model: keras.Model, cuts: Sequence[str], name: str, *, channels_first: bool = False
) -> keras.Model:
    """End a model at inner layers.

    Args:
        model: a frozen model with one output.
        cuts: as described at the top of this file.
        name: of the model, for messages.
        channels_first: order of the axes of its maps.

    Raises:
        UsageError: if a cut does not name a layer that outputs a feature map.
    """
    ends = [_end(model, one, name, channels_first) for one in cuts]
    ended = keras.Model(model.inputs, ends[0] if len(ends) == 1 else ends, name=model.name)
    ended.trainable = False
    return ended


def parts(model: keras.Model) -> list[keras.Model]:
    """Give, for each output of a model, the model of this output alone."""
    if len(model.outputs) == 1:
        return [model]
    return [keras.Model(model.inputs, output, name=model.name) for output in model.outputs]


def joined_layers(part: keras.Model) -> list[str]:
    """Name the layers that a joined cut is made of; none for another cut."""
    names = [layer.name for layer in part.layers if layer.name.startswith(_MEAN)]
    return [name.removeprefix(_MEAN) for name in names]


def last_maps(model: keras.Model, *, channels_first: bool = False) -> list[str]:
    """List the last layer at each resolution, from the input on."""
    padded = {each.name for each in model.layers if isinstance(each, keras.layers.ZeroPadding2D)}
    maps = _maps(model, channels_first)
    last = {side: name for name, side in maps if name not in padded}
    return list(last.values())


def _maps(model: keras.Model, channels_first: bool) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield each layer that gives a map, with the map's height and width."""
    for layer in model.layers[1:]:
        shape = getattr(getattr(layer, "output", None), "shape", ())
        if len(shape) == 4 and None not in shape[1:]:
            yield layer.name, tuple(shape[2:] if channels_first else shape[1:3])


def _end(model: keras.Model, cut: str, name: str, channels_first: bool) -> Any:
    if cut in ("", OWN_END):
        return model.output
    layers = cut.split(JOIN)
    if cut == MULTI:
        layers = last_maps(model, channels_first=channels_first)[-RESOLUTIONS:]
    if len(layers) == 1:
        return _map(model, cut, name, channels_first)
    order, means = "channels_first" if channels_first else "channels_last", []
    for layer in layers:
        end = model.output if layer == OWN_END else _map(model, layer, name, channels_first)
        mean = keras.layers.GlobalAveragePooling2D(order, keepdims=True, name=_MEAN + layer)
        means.append(mean(end))
    return keras.layers.Concatenate(axis=1 if channels_first else -1)(means)


def _map(model: keras.Model, layer: str, name: str, channels_first: bool) -> Any:
    if layer in dict(_maps(model, channels_first)):
        return model.get_layer(layer).output
    layers = {each.name: each for each in model.layers}
    shape = getattr(getattr(layers.get(layer), "output", None), "shape", None)
    what = f"Its shape is {tuple(shape)}" if shape is not None else "There is no such layer"
    some = ", ".join(last_maps(model, channels_first=channels_first)[-SHOWN:])
    raise UsageError.invalid(
        "cut",
        layer,
        f"a layer of {name} that outputs a feature map (batch, height, width, channels)",
        f"{what}. The last layers at each resolution are {some}.",
    )
