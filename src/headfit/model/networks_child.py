"""The graphs of a saved classifier, and the gradients of its head. Runs in child processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from headfit.backbones.graphs import graph_child
from headfit.images.contract import Contract
from headfit.model.maps import HIRESCAM, HirescamRequest
from headfit.model.networks import OPENED, take_apart
from headfit.model.runner import HEAD, GraphRequest

BATCH = 16


def write_graph(request: GraphRequest) -> dict[str, Any]:
    """Write the graph of a classifier, and the arrays of its head where they are asked for.

    Returns:
        The facts of the network, and its ``parameters``.
    """
    network, folder = OPENED[request.outputs](Path(request.path)), Path(request.folder)
    # preprocessing is part of the model
    plain = Contract(request.height, request.width, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    graph_child.save(graph_child.trace(network.model, plain, channels_first=False), folder)
    if network.facts:
        np.savez(folder / HEAD, **network.head)  # type: ignore[arg-type]
    return {**network.facts, "parameters": int(network.model.count_params())}


def hirescam(request: HirescamRequest) -> dict[str, Any]:
    """Write gradient × map, summed over the channels, float32 (n, H, W); on the backend JAX.

    Returns:
        ``baseline``: the logit of each class for a map of zeros.
    """
    # only here: a graph is written on a backend that needs none of it
    import jax  # noqa: PLC0415
    import jax.numpy as jnp  # noqa: PLC0415

    parts = take_apart(Path(request.path))
    tail = keras.Model(parts.maps, parts.logits)
    fixed = [variable.value for variable in tail.non_trainable_variables]
    trained = [variable.value for variable in tail.trainable_variables]

    def logits(maps: Any) -> Any:
        return tail.stateless_call(trained, fixed, maps, training=False)[0]

    def total(maps: Any, classes: Any) -> Any:
        return jnp.take_along_axis(logits(maps), classes[:, None], axis=1).sum()

    gradient = jax.jit(jax.grad(total))
    maps = np.load(request.maps, allow_pickle=False)
    heat = np.empty(maps.shape[:3], np.float32)
    for start in range(0, len(maps), BATCH):
        block = maps[start : start + BATCH]
        classes = jnp.asarray(request.targets[start : start + BATCH])
        heat[start : start + BATCH] = np.sum(np.asarray(gradient(block, classes)) * block, axis=3)
    np.save(Path(request.folder) / HIRESCAM, heat)
    baseline = np.asarray(logits(np.zeros((1, *maps.shape[1:]), np.float32)))[0]
    return {"baseline": [float(value) for value in baseline]}
