"""Join preprocessing, backbone and head into one Keras model: pixels in, probabilities out.

Imports Keras, so it runs in a child process (see :mod:`headfit.util.child`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from headfit.backbones.catalog import find
from headfit.backbones.cut import build_cut
from headfit.heads.chain import Head, parse_head
from headfit.heads.custom.pooling import read_custom
from headfit.images.contract import Contract


def write_model(
    backbone: str,
    weights: str,
    contract: dict[str, Any],
    head: str,
    shape: float | None,
    scale: float,
    classes: int,
    head_weights: str,
    path: str,
    cut: str = "",
    custom: str = "",
) -> dict[str, Any]:
    """Write a classifier as a ``.keras`` file.

    Args:
        backbone: the text that finds it, which is the name of one in the catalogue.
        weights: ``"imagenet"``, ``"random"`` or a path.
        contract: the preprocessing record.
        head: the head's chain.
        shape: value of the pooling's shape parameter.
        scale: what the head multiplies its maps by.
        classes: K.
        head_weights: an ``.npz`` of the head's arrays, by ``layer/variable``.
        path: where to write; ends in ``.keras``.
        cut: the layer that the backbone ends at; empty for its own end.
        custom: the folder of a custom head; empty for a chain.

    Returns:
        ``parameters`` of the whole model.
    """
    record = Contract.from_dict(contract)
    images = keras.Input((record.height, record.width, 3), name="images")
    frozen = build_cut(find(backbone), record.height, weights, [cut])
    # inference mode for good: batch statistics of a small data set would spoil a frozen backbone
    maps = frozen(_preprocess(images, record), training=False)
    chain = Head(read_custom(head, Path(custom))) if custom else parse_head(head)
    outputs = chain.build(maps, classes, shape, "channels_last", scale)
    model = keras.Model(images, outputs, name="headfit_classifier")
    with np.load(head_weights, allow_pickle=False) as arrays:
        _assign(model, chain, dict(arrays))
    model.save(path)
    return {"parameters": int(model.count_params())}


def _preprocess(images: Any, contract: Contract) -> Any:
    scale, offset = contract.scale, contract.offset
    if scale == (1.0, 1.0, 1.0) and offset == (0.0, 0.0, 0.0) and not contract.bgr:
        return images
    if len(set(scale)) == len(set(offset)) == 1 and not contract.bgr:
        return layers.Rescaling(scale[0], offset[0], name="preprocessing")(images)
    # values that differ by channel, or channels that change places: one fixed 1×1 convolution
    layer = layers.Conv2D(3, 1, name="preprocessing", data_format="channels_last", trainable=False)
    result = layer(images)
    order = [2, 1, 0] if contract.bgr else [0, 1, 2]
    kernel = np.diag(scale)[:, order].reshape(1, 1, 3, 3)
    layer.set_weights([kernel.astype(np.float32), np.array(offset, np.float32)[order]])
    return result


def _assign(model: keras.Model, head: Head, arrays: dict[str, np.ndarray]) -> None:
    """Give each layer of the head its arrays; a shape parameter was set when it was built."""
    for layer, names in head.variables.items():
        model.get_layer(layer).set_weights([arrays.pop(f"{layer}/{name}") for name in names])
    if arrays:
        raise ValueError(f"Head '{head.name}' has no variables {', '.join(arrays)}.")
