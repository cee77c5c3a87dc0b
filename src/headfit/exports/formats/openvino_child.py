"""Write a classifier as an OpenVINO graph; runs in a child process on that backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from headfit.backbones.graphs.graph_child import save
from headfit.errors import EngineError
from headfit.exports.formats.openvino import OpenVINORequest
from headfit.exports.network_child import names_of, network, no_counterpart
from headfit.exports.record import IMAGES


def write_graph(request: OpenVINORequest) -> None:
    """Write ``graph.xml`` and ``graph.bin``; takes raw uint8 pixels."""
    try:
        graph = _traced(request, channels_first=request.channels_first)
    except NotImplementedError as error:
        raise no_counterpart("OpenVINO", error) from None
    save(graph, Path(request.target))


def _traced(request: OpenVINORequest, *, channels_first: bool) -> Any:
    import openvino as ov  # noqa: PLC0415  (only this child process needs it)
    import openvino.opset14 as ops  # noqa: PLC0415

    try:
        from keras.src.backend.openvino.core import OpenVINOKerasTensor  # noqa: PLC0415
    except ImportError:
        raise EngineError("this Keras has no OpenVINO backend that headfit knows") from None
    model = network(request, channels_first=channels_first, dense_bias=True)
    height, width = model.input_shape[1:3]
    images = ops.parameter([-1, height, width, 3], np.uint8, name=IMAGES)
    images.output(0).get_tensor().set_names({IMAGES})
    pixels = ops.convert(images, np.float32)
    called = model(OpenVINOKerasTensor(pixels.output(0)), training=False)
    results = []
    for name, each in zip(names_of(request), keras.tree.flatten(called), strict=False):
        output = ops.convert(each.output, np.float32).output(0)
        output.get_tensor().set_names({name})
        results.append(output)
    return ov.Model(results, [images], "headfit")
