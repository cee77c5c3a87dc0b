"""Quantise a graph with NNCF; runs in a child process, which is all that imports it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from headfit.backbones.graphs.int8 import QuantiseRequest
from headfit.errors import EngineError, ImageError
from headfit.images.decode import decode, read_bytes


def write_int8(request: QuantiseRequest) -> dict[str, Any]:
    """Write a float32 graph in 8-bit integers as ``graph.xml`` and ``graph.bin``.

    Returns:
        ``images``, the number of files that could be decoded.

    Raises:
        EngineError: if that is none.
    """
    import nncf  # noqa: PLC0415  (optional)
    import openvino as ov  # noqa: PLC0415

    model = ov.Core().read_model(request.graph)
    dynamic = model.input(0).partial_shape
    model.reshape([1, request.height, request.width, 3])
    _simplify(model)
    pictures = _Pictures(request.images, request.height, request.width)
    if not pictures.readable:
        raise EngineError(
            f"none of the {len(request.images)} images for calibration can be decoded"
        )
    made = nncf.quantize(
        model,
        nncf.Dataset(pictures),
        # activations that go below zero (swish, linear bottlenecks) need a zero point
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(pictures.readable),
        # processors without VNNI add pairs of products in 16 bits, which overflow; the graph is to
        # be the same on all
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            overflow_fix=nncf.OverflowFix.ENABLE
        ),
    )
    made.reshape(dynamic)
    ov.save_model(made, str(Path(request.folder) / "graph.xml"), compress_to_fp16=False)
    return {"images": len(pictures.readable)}


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


class _Pictures:
    """Decodes files one at a time, as often as it is gone through."""

    def __init__(self, paths: list[str], height: int, width: int) -> None:
        self._shape = height, width
        self.readable = [path for path in paths if self._decode(path) is not None]

    def __iter__(self) -> Iterator[np.ndarray]:
        for path in self.readable:
            image = self._decode(path)
            if image is not None:
                yield image

    def __len__(self) -> int:
        return len(self.readable)

    def _decode(self, path: str) -> np.ndarray | None:
        try:
            return decode(read_bytes(Path(path)), *self._shape)[None]
        except ImageError:
            return None
