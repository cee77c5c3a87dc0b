"""What needs Keras: take a model apart, and put it together with another top.

These functions run in a child process (see :mod:`headfit.util.child`). Arrays go through files.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from headfit.backbones.graphs import graph_child as graph
from headfit.backbones.graphs.trace import Tensor, trace
from headfit.conversion.rewrite import rewrite
from headfit.conversion.top import Top, find_top
from headfit.conversion.tops import new_top
from headfit.errors import ModelFileError
from headfit.images.contract import Contract
from headfit.inspection.networks import load

MAPS, BEFORE, AFTER = "maps", "before", "after"


def take_apart(
    path: str, preprocessing: dict[str, Any], folder: str, graphs: bool
) -> dict[str, Any]:
    """Write the dense layer's weights, and the model up to its map.

    Args:
        path: a ``.keras`` or ``.h5`` file.
        preprocessing: ``scale``, ``offset`` and ``bgr`` of a contract.
        folder: where ``kernel.npy``, ``bias.npy`` and the networks go.
        graphs: write graphs of the model and of its part up to the map, for OpenVINO; else that
            part as ``maps.keras``.

    Returns:
        What is known of the model and its top.

    Raises:
        ModelFileError: if it cannot be read, or has another top.
        EngineError: if Keras cannot load it on this backend.
    """
    model, top = _opened(path)
    kernel, bias = top.readout()
    np.save(Path(folder) / "kernel.npy", kernel)
    np.save(Path(folder) / "bias.npy", bias)
    ends = {id(call.layer): _pass for call in (top.pool, *top.between, top.dense, *top.rest)}
    maps = rewrite(model, ends)
    height, width = model.input_shape[1:3]
    if graphs:
        contract = Contract(height, width, **preprocessing)
        _write_graph(maps, contract, Path(folder) / MAPS)
        _write_graph(model, contract, Path(folder) / BEFORE)
    else:
        maps.save(Path(folder) / f"{MAPS}.keras")
    return {
        "input": [height, width],
        "map_shape": list(top.map_shape),
        "pooling": top.pooling,
        "units": top.units,
        "outputs": int(model.output_shape[-1]),
        "ending": top.ending,
        "threshold": 0.5 if top.squashed else 0.0,
        "folded": [call.layer.name for call in top.norms],
        "dropout": [call.layer.name for call in top.between if "Dropout" in call.kind],
        "layers": {"pooling": top.pool.layer.name, "dense": top.dense.layer.name},
        "parameters": int(model.count_params()),
        "top_parameters": _count(call.layer for call in (*top.between, top.dense)),
    }


def put_together(
    path: str,
    form: str,
    weights: str,
    preprocessing: dict[str, Any],
    folder: str,
    target: str,
    graphs: bool,
) -> dict[str, Any]:
    """Write the model with another top.

    Args:
        path: the model that was taken apart.
        form: of the new top, see :mod:`headfit.conversion.algebra`.
        weights: an ``.npz`` with its arrays.
        preprocessing: as in :func:`take_apart`.
        folder: where the graph goes.
        target: the ``.keras`` file to write.
        graphs: write a graph of the written file, for OpenVINO.

    Returns:
        ``parameters`` of the new model, ``top_parameters`` and ``top``, its new layers.
    """
    model, top = _opened(path)
    with np.load(weights, allow_pickle=False) as arrays:
        changes, steps = new_top(model, top, form, dict(arrays))
    rewrite(model, changes).save(target)
    # from the file, since it is the file that has to be right
    written = load(Path(target))
    if graphs:
        height, width = written.input_shape[1:3]
        _write_graph(written, Contract(height, width, **preprocessing), Path(folder) / AFTER)
    return {
        "parameters": int(written.count_params()),
        "top_parameters": _count(steps),
        "top": [f"{type(step).__name__} '{step.name}'" for step in steps],
    }


def run_rest(path: str, given: str, results: str) -> dict[str, Any]:
    """Compute what a model makes of the numbers that its first dense layer forms.

    Args:
        path: the model that was taken apart.
        given: an ``.npz`` of arrays (n, K): sums before the activation.
        results: the ``.npz`` to write, with the outputs (n, classes) under the same names.
    """
    _, top = _opened(path)
    entry = keras.Input((top.units,))
    known = {id(top.dense.output): top.dense.layer.activation(entry)}

    def replaced(value: Any) -> Any:
        return known.get(id(top.trace.resolve(value)), value) if _is_tensor(value) else value

    for call in top.rest:
        args, named = keras.tree.map_structure(replaced, (call.args, call.kwargs))
        output = call.layer(*args, **named)
        made = keras.tree.flatten(output)
        known.update((id(old), new) for old, new in zip(call.outputs, made, strict=True))
    rest = keras.Model(entry, known[id(top.trace.output)])
    with np.load(given, allow_pickle=False) as arrays:
        found = {name: np.asarray(rest.predict(arrays[name], verbose=0)) for name in arrays.files}
    np.savez(results, **found)  # type: ignore[arg-type]
    return {}


def _opened(path: str) -> tuple[keras.Model, Top]:
    model = load(Path(path))
    try:
        if not model.inputs:
            raise ModelFileError("it leaves its input open; expected a fixed input shape")
        return model, find_top(trace(model, _input_shape(model)))
    except ModelFileError as error:
        raise ModelFileError(f"'{path}' cannot be converted: {error}.") from None


def _input_shape(model: keras.Model) -> tuple[int, ...]:
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
        shapes = ", ".join(str(tuple(tensor.shape[1:])) for tensor in model.inputs)
        raise ModelFileError(f"it takes inputs of shape {shapes}; expected one image")
    shape = tuple(model.inputs[0].shape[1:])
    if None in shape or shape[2] != 3:
        raise ModelFileError(
            f"it takes images of shape {shape}; expected (height, width, 3), all fixed"
        )
    return shape


def _write_graph(model: keras.Model, contract: Contract, folder: Path) -> None:
    folder.mkdir()
    graph.save(graph.trace(model, contract, channels_first=False), folder)


def _count(steps: Iterable[Any]) -> int:
    return sum(int(step.count_params()) for step in steps)


def _pass(x: Tensor) -> Tensor:
    return x


def _is_tensor(value: Any) -> bool:
    return isinstance(value, keras.KerasTensor)
