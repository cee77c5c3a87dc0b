"""Quantise a graph with NNCF; runs in a child process, which is all that imports it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from headfit.backbones.graphs.int8 import QuantiseRequest
from headfit.errors import EngineError


def write_int8(request: QuantiseRequest) -> None:
    """Write a float32 graph in 8-bit integers as ``graph.xml`` and ``graph.bin``."""
    import nncf  # noqa: PLC0415  (optional)
    import openvino as ov  # noqa: PLC0415

    pixels = np.load(request.pixels, mmap_mode="r")
    model = ov.Core().read_model(request.graph)
    dynamic = model.input(0).partial_shape
    model.reshape([1, *pixels.shape[1:]])
    _simplify(model)
    made = nncf.quantize(
        model,
        nncf.Dataset([np.array(image[None]) for image in pixels]),
        # activations that go below zero (swish, linear bottlenecks) need a zero point
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(pixels),
        # processors without VNNI add pairs of products in 16 bits, which overflow; the graph is to
        # be the same on all
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            overflow_fix=nncf.OverflowFix.ENABLE
        ),
    )
    made.reshape(dynamic)
    ov.save_model(made, str(Path(request.folder) / "graph.xml"), compress_to_fp16=False)


def _simplify(model: Any) -> None:
    """Fold batch normalisation and constants into the convolutions, as OpenVINO's converter does.

    Quantised apart from them, EfficientNet-Lite0's maps have cosine 0.89 with float32's, not 0.98.
    """
    try:
        from openvino._offline_transformations import (  # noqa: PLC0415
            apply_moc_transformations,
        )
    except ImportError:
        raise EngineError(
            "this OpenVINO has no transformations of the kind that headfit knows"
        ) from None
    apply_moc_transformations(model, cf=True)
