"""Turn a Keras model into an OpenVINO graph, by way of Keras' own OpenVINO backend.

These functions run in a child process whose ``KERAS_BACKEND`` is ``openvino`` (see
:mod:`headfit.util.child`), except :func:`write_reference`, which runs under the user's backend and
says what the graph must agree with. :func:`trace` is the only place that leans on an internal of
Keras.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from headfit.backbones.build import weights_digest
from headfit.backbones.catalog import find
from headfit.backbones.cut import build_cut, joined_layers, parts
from headfit.backbones.engines.interface import probe_images
from headfit.backbones.graphs.graph import BackboneGraphRequest, ReferenceRequest
from headfit.errors import EngineError
from headfit.images.contract import Contract


def write_backbone(request: BackboneGraphRequest) -> dict[str, Any]:
    """Write a backbone as ``graph.xml`` and ``graph.bin``.

    The graph takes uint8 RGB images (n, height, width, 3) and gives the feature map
    (n, H, W, C) in float32; the preprocessing is part of it. With several cuts it gives all maps
    of an image in one row, (n, ΣHWC).

    Returns:
        ``parts``: of each cut ``map_shape`` [H, W, C] and ``parameters``.
    """
    spec, contract = find(request.name), Contract.from_dict(request.contract)
    first = spec.channels_first
    model = build_cut(spec, contract.height, request.weights, request.cuts, channels_first=first)
    save(trace(model, contract, channels_first=first), Path(request.folder))
    facts = []
    for part in parts(model):
        shape = [int(length) for length in part.output_shape[1:]]
        shape = shape[1:] + shape[:1] if first else shape
        count, layers = int(part.count_params()), joined_layers(part)
        facts.append({"map_shape": shape, "parameters": count, "layers": layers})
    return {"parts": facts}


def write_reference(request: ReferenceRequest) -> dict[str, Any]:
    """Write what Keras itself makes of the probe images to ``reference-0.npy``, …, float32.

    Returns:
        ``backend``, and of each cut the digest of its weights, ``weights_digests``.
    """
    contract = Contract.from_dict(request.contract)
    model = build_cut(find(request.name), contract.height, request.weights, request.cuts)
    images = contract.apply(probe_images(contract.height, contract.width))
    outputs = model.predict(images, verbose=0)
    for number, maps in enumerate(outputs if len(request.cuts) > 1 else [outputs]):
        np.save(Path(request.folder) / f"reference-{number}.npy", np.asarray(maps, np.float32))
    digests = [weights_digest(part) for part in parts(model)]
    return {"backend": keras.backend.backend(), "weights_digests": digests}


def trace(model: keras.Model, contract: Contract, *, channels_first: bool) -> Any:
    """Call a model on a symbolic OpenVINO input and wrap it with the preprocessing.

    Args:
        model: a Keras model under the OpenVINO backend.
        contract: what turns uint8 pixels into the model's input.
        channels_first: whether the model takes (n, 3, h, w) and gives (n, C, H, W).

    Returns:
        An OpenVINO model from uint8 (n, height, width, 3) to float32, channels last; a model of
        several outputs gives them flat, side by side.

    Raises:
        EngineError: if this Keras has no such backend.
    """
    import openvino as ov  # noqa: PLC0415  (only this child process needs it)
    import openvino.opset14 as ops  # noqa: PLC0415

    try:
        from keras.src.backend.openvino.core import OpenVINOKerasTensor  # noqa: PLC0415
    except ImportError:
        raise EngineError(
            f"Keras {keras.__version__} has no OpenVINO backend of the kind that headfit knows"
        ) from None
    height, width = contract.height, contract.width
    images = ops.parameter([-1, height, width, 3], np.uint8, name="images")
    pixels = ops.convert(images, np.float32)
    scale, offset = (np.array(v, np.float32) for v in (contract.scale, contract.offset))
    if contract.bgr:
        channels = ops.constant(np.array([2, 1, 0], np.int64))
        pixels = ops.gather(pixels, channels, ops.constant(np.int64(3)))
        scale, offset = scale[::-1].copy(), offset[::-1].copy()
    if not (np.all(scale == 1) and np.all(offset == 0)):
        pixels = ops.add(ops.multiply(pixels, ops.constant(scale)), ops.constant(offset))
    if channels_first:
        pixels = ops.transpose(pixels, ops.constant(np.array([0, 3, 1, 2], np.int64)))
    called = model(OpenVINOKerasTensor(pixels.output(0)), training=False)
    # a model of a lower precision gives its own
    results = [
        ops.convert(each.output, np.float32).output(0)
        for each in (called if isinstance(called, list) else [called])
    ]
    if channels_first:
        last = ops.constant(np.array([0, 2, 3, 1], np.int64))
        results = [ops.transpose(each, last).output(0) for each in results]
    if len(results) > 1:
        flat = ops.constant(np.array([0, -1], np.int64))
        rows = [ops.reshape(each, flat, special_zero=True) for each in results]
        results = [ops.concat(rows, 1).output(0)]
    return ov.Model(results, [images], model.name)


def save(graph: Any, folder: Path) -> None:
    """Write ``graph.xml`` and ``graph.bin``, all weights in float32."""
    import openvino as ov  # noqa: PLC0415

    ov.save_model(graph, str(folder / "graph.xml"), compress_to_fp16=False)
