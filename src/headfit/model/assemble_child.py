"""Join preprocessing, backbone and head into one Keras model: pixels in, predictions out.

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
from headfit.backbones.stages import layers_after
from headfit.finetuning.tuned import TunedStages
from headfit.heads.chain import Head, parse_head
from headfit.heads.custom.origin import Origin
from headfit.heads.custom.pooling import read_custom
from headfit.heads.keras_layers.weights import assign_head
from headfit.images.contract import Contract
from headfit.model.assembly import Assembly


def write_model(request: Assembly) -> dict[str, Any]:
    """Write a model as a ``.keras`` file.

    Returns:
        ``parameters`` of the whole model.
    """
    contract, custom = Contract.from_dict(request.contract), request.custom
    images = keras.Input((contract.height, contract.width, 3), name="images")
    spec = find(request.backbone)
    frozen = build_cut(spec, contract.height, request.weights, [request.cut])
    if request.tuned:
        _replace_weights(frozen, TunedStages.load(Path(request.tuned), request.tuned_after))
    # inference mode for good: batch statistics of a small data set would spoil a frozen backbone
    maps = frozen(preprocess(images, contract), training=False)
    if custom:
        head = Head(read_custom(Origin(request.head, place=request.place), Path(custom)))
    else:
        head = parse_head(request.head)
    outputs = head.build(
        maps, request.classes, request.shape, "channels_last", request.scale, request.activation
    )
    model = keras.Model(images, outputs, name="headfit_classifier")
    with np.load(request.head_weights, allow_pickle=False) as arrays:
        assign_head(model, head, dict(arrays))
    model.save(request.path)
    return {"parameters": int(model.count_params())}


def preprocess(images: Any, contract: Contract) -> Any:
    """Turn a Keras tensor of RGB pixels, 0 to 255, into a network's input."""
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


def _replace_weights(backbone: keras.Model, tuned: TunedStages) -> None:
    """Give the layers that were trained their weights."""
    after = layers_after(backbone, tuned.start)
    for name, arrays in tuned.weights.items():
        if name not in after:
            raise ValueError(
                f"Layer '{name}' of {backbone.name} cannot have been trained: only layers after "
                f"'{tuned.start}' are."
            )
        layer = backbone.get_layer(name)
        expected, received = ([tuple(w.shape) for w in each] for each in (layer.weights, arrays))
        if expected != received:
            raise ValueError(
                f"Trained weights do not fit layer '{name}' of {backbone.name}: expected shapes "
                f"{expected}. Received: {received}."
            )
        layer.set_weights(arrays)
