"""What the tests of trained poolings run in a child process, on another Keras backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import openvino as ov

import headfit.layers  # noqa: F401  (registers headfit's layers with Keras)
from headfit.backbones.graphs import graph_child as graph
from headfit.images.contract import Contract


def saved_again(path: str, pixels: str, folder: str) -> dict[str, Any]:
    """Load a model, save it, load that, and write what both make of stored pixels."""
    model = keras.saving.load_model(path, safe_mode=True)
    model.save(Path(folder) / "again.keras")
    again = keras.saving.load_model(Path(folder) / "again.keras", safe_mode=True)
    for name, each in (("first", model), ("second", again)):
        np.save(Path(folder) / name, np.asarray(each.predict(np.load(pixels), verbose=0)))
    return {"backend": keras.backend.backend()}


def as_graph(path: str, pixels: str, folder: str) -> dict[str, Any]:
    """Turn a model into an OpenVINO graph, and write what that makes of stored pixels."""
    images = np.load(pixels)
    plain = Contract(*images.shape[1:3], (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    model = keras.saving.load_model(path, safe_mode=True)
    traced = graph.trace(model, plain, channels_first=False)
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    np.save(Path(folder) / "graph", ov.compile_model(traced, "CPU", exact)(images)[0])
    return {"backend": keras.backend.backend()}
