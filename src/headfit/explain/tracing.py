"""Take a saved classifier apart at its feature map. Imports Keras.

Everything here runs in a child process (see :mod:`headfit.util.child`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from headfit.backbones.graphs import graph_child as graph
from headfit.errors import EngineError
from headfit.images.contract import Contract
from headfit.model.load_child import load_model
from headfit.util import digests

HEAD = "head.npz"
POOL, SCALE, SOFTMAX = "head_pool", "head_scale", "head_softmax"
BATCH = 16


class Parts(NamedTuple):
    """A classifier whose insides can be reached.

    Attributes:
        model: as it was loaded.
        images: its input.
        maps: the feature map that its pooling is given, (n, H, W, C).
        logits: (n, K), before the softmax.
    """

    model: keras.Model
    images: Any
    maps: Any
    logits: Any

    def rows(self) -> keras.Model:
        """From images to float32 (n, K + HWC): the logits, then the map, row by row."""
        flat = keras.layers.Reshape((-1,), dtype="float32")(self.maps)
        both = keras.layers.Concatenate(dtype="float32")([self.logits, flat])
        return keras.Model(self.images, both, name="headfit_logits_and_maps")


def take_apart(path: str) -> Parts:
    """Load a classifier and find its feature map and its logits.

    Raises:
        EngineError: if it is not put together as headfit does it.
    """
    model = load_model(path)
    maps: list[Any] = []
    features: list[Any] = []

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        if layer.name == SOFTMAX:
            features.append(args[0])
        output = layer(*args, **kwargs)
        backbone = isinstance(layer, keras.Model) and not maps
        if backbone or layer.name == SCALE:
            maps.append(output)
        return output

    same = keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)
    if not (maps and features):
        raise EngineError("there is no backbone and no head in it as headfit puts them there")
    last = model.get_layer(SOFTMAX)
    arrays = last.get_weights()
    if len(arrays) == 1:  # a bias alone: what comes before it is a logit for each class already
        arrays = [np.eye(len(arrays[0]), dtype=np.float32), *arrays]
    # its first weights are replaced at once: zeros cost nothing to make
    plain = keras.layers.Dense(
        len(arrays[1]), kernel_initializer="zeros", dtype="float32", name="headfit_logits"
    )
    logits = plain(features[0])
    plain.set_weights(arrays)
    return Parts(model, same.inputs[0], maps[-1], logits)


def write_graph(path: str, contract: dict[str, Any], folder: str) -> dict[str, Any]:
    """Write the graph of :meth:`Parts.rows` and the head's arrays into ``folder``.

    Returns:
        See :func:`write_head`.
    """
    parts = take_apart(path)
    record = Contract.from_dict(contract)
    # preprocessing is part of the model
    plain = Contract(record.height, record.width, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    graph.save(graph.trace(parts.rows(), plain, channels_first=False), Path(folder))
    return write_head(parts, Path(folder))


def write_head(parts: Parts, folder: Path) -> dict[str, Any]:
    """Write the arrays of the head: ``pool_0``, … and ``body_0``, …, in the model's order.

    Returns:
        ``map_shape`` [H, W, C]; ``shape``: a pooling's parameter that is no weight, or None;
        ``digest`` of the file.
    """
    found: dict[str, np.ndarray] = {}
    for layer in parts.model.layers:
        if layer.name.startswith("head_") and not isinstance(layer, keras.Model):
            kind = "pool" if layer.name == POOL else "body"
            start = sum(name.startswith(kind) for name in found)
            for number, array in enumerate(layer.get_weights(), start):
                found[f"{kind}_{number}"] = np.asarray(array, np.float32)
    np.savez(folder / HEAD, **found)  # type: ignore[arg-type]
    return {
        "map_shape": [int(length) for length in parts.maps.shape[1:]],
        "shape": getattr(parts.model.get_layer(POOL), "tau", None),
        "digest": digests.of_file(folder / HEAD),
    }


def write_rows(path: str, pixels: str, folder: str) -> dict[str, Any]:
    """Write ``rows.npy``, what :meth:`Parts.rows` gives for pixels, and the head's arrays.

    Args:
        path: the model file.
        pixels: an ``.npy`` of RGB pixels 0–255, (n, height, width, 3).
        folder: where to write.

    Returns:
        See :func:`write_head`.
    """
    parts = take_apart(path)
    images = np.load(pixels, allow_pickle=False).astype(np.float32)
    rows = parts.rows().predict(images, batch_size=BATCH, verbose=0)
    np.save(Path(folder) / "rows.npy", np.asarray(rows, np.float32))
    return write_head(parts, Path(folder))


def hirescam(path: str, maps: str, targets: list[int], folder: str) -> dict[str, Any]:
    """Write ``hirescam.npy``: gradient × map, summed over the channels, float32 (n, H, W).

    Runs with the Keras backend JAX.

    Args:
        path: the model file.
        maps: an ``.npy`` of feature maps, float32 (n, H, W, C).
        targets: of each image the class whose logit is explained.
        folder: where to write.

    Returns:
        ``baseline``: the logit of each class for a map of nothing but zeros.
    """
    import jax  # noqa: PLC0415  (only on this backend)
    import jax.numpy as jnp  # noqa: PLC0415

    parts = take_apart(path)
    tail = keras.Model(parts.maps, parts.logits)
    fixed = [variable.value for variable in tail.non_trainable_variables]
    trained = [variable.value for variable in tail.trainable_variables]

    def logits(each: Any) -> Any:
        return tail.stateless_call(trained, fixed, each, training=False)[0]

    def total(each: Any, classes: Any) -> Any:
        return jnp.take_along_axis(logits(each), classes[:, None], axis=1).sum()

    gradient = jax.jit(jax.grad(total))
    given = np.load(maps, allow_pickle=False)
    found = np.empty(given.shape[:3], np.float32)
    for start in range(0, len(given), BATCH):
        block = given[start : start + BATCH]
        classes = jnp.asarray(targets[start : start + BATCH])
        found[start : start + BATCH] = np.sum(np.asarray(gradient(block, classes)) * block, axis=3)
    np.save(Path(folder) / "hirescam.npy", found)
    baseline = np.asarray(logits(np.zeros((1, *given.shape[1:]), np.float32)))[0]
    return {"baseline": [float(value) for value in baseline]}
