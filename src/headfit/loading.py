"""Load a saved classifier with Keras, and turn it into a graph.

Imports Keras: :func:`write_graph` runs in a child process (see :mod:`headfit.worker`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

import headfit.heads.layers.registered  # noqa: F401  (tells Keras of headfit's layers)
from headfit.backbones import graph
from headfit.images.contract import Contract


def load_model(path: str) -> keras.Model:
    """Load a ``.keras`` file in safe mode: no code in it is run."""
    return keras.saving.load_model(path, compile=False, safe_mode=True)


def write_graph(path: str, contract: dict[str, Any], folder: str) -> dict[str, Any]:
    """Write a saved classifier (raw pixels to probabilities) as a graph into ``folder``.

    Returns:
        ``parameters`` of the model.
    """
    model = load_model(path)
    record = Contract.from_dict(contract)
    # preprocessing is part of the model
    plain = Contract(record.height, record.width, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    graph.save(graph.trace(model, plain, channels_first=False), Path(folder))
    return {"parameters": int(model.count_params())}
