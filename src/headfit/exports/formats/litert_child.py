"""Write a LiteRT file. Runs in child processes, on the backend TensorFlow."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from headfit.exports.formats.format import FLOAT16, FLOAT32
from headfit.exports.formats.litert import LiteRTRequest
from headfit.exports.formats.saved_model_child import save
from headfit.exports.network_child import names_of, network, no_counterpart
from headfit.exports.record import IMAGES
from headfit.util import files


def write_litert(request: LiteRTRequest) -> None:
    """Write the file ``target``."""
    with tempfile.TemporaryDirectory(prefix=files.scratch_prefix()) as folder:
        save(network(request), Path(folder) / "model", names_of(request))
        converter = tf.lite.TFLiteConverter.from_saved_model(str(Path(folder) / "model"))
        if request.precision != FLOAT32:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if request.precision == FLOAT16:
            converter.target_spec.supported_types = [tf.float16]
        elif request.precision != FLOAT32:
            converter.representative_dataset = lambda: _batches(Path(request.pixels))
        try:
            model = converter.convert()
        except Exception as error:
            raise no_counterpart("LiteRT", error) from None
    Path(request.target).write_bytes(model)


def _batches(path: Path) -> Iterator[dict[str, Any]]:
    """Give the images one by one."""
    for image in np.load(path, mmap_mode="r"):
        yield {IMAGES: np.array(image[None])}
