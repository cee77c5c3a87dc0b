"""Split a model at its map, and assemble it with another top, with Keras.

These functions run in a child process (see :mod:`headfit.util.child`). Arrays travel as files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from headfit.backbones.graphs import graph_child as graph
from headfit.backbones.graphs.trace import Tensor, trace
from headfit.conversion.networks import AFTER, BEFORE, MAPS, PutTogether, RunRest, TakeApart
from headfit.conversion.top import Top, find_top
from headfit.conversion.tops import new_top
from headfit.errors import ModelFileError
from headfit.images.contract import Contract
from headfit.inspection.networks import load


def take_apart(request: TakeApart) -> dict[str, Any]:
    """Write the dense layer's weights, and the model up to its map.

    Returns:
        Facts about the model and its top.

    Raises:
        ModelFileError: if it cannot be read, or has another top.
        EngineError: if Keras cannot load it on this backend.
    """
    folder = Path(request.folder)
    model, top = _opened(request.path)
    kernel, bias = top.readout()
    np.save(folder / "kernel.npy", kernel)
    np.save(folder / "bias.npy", bias)
    ends = {id(call.layer): _pass for call in (top.pool, *top.between, top.dense, *top.rest)}
    maps = rewrite(model, ends)
    height, width = model.input_shape[1:3]
    if request.graphs:
        contract = Contract(height, width, **request.preprocessing)
        _write_graph(maps, contract, folder / MAPS)
        _write_graph(model, contract, folder / BEFORE)
    else:
        maps.save(folder / f"{MAPS}.keras")
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


def put_together(request: PutTogether) -> dict[str, Any]:
    """Write the model with another top.

    Returns:
        ``parameters`` of the new model, ``top_parameters`` and ``top``, its new layers.
    """
    model, top = _opened(request.path)
    with np.load(request.weights, allow_pickle=False) as arrays:
        changes, steps = new_top(model, top, request.form, dict(arrays))
    rewrite(model, changes).save(request.target)
    # from the file, since it is the file that has to be right
    written = load(Path(request.target))
    if request.graphs:
        height, width = written.input_shape[1:3]
        contract = Contract(height, width, **request.preprocessing)
        _write_graph(written, contract, Path(request.folder) / AFTER)
    return {
        "parameters": int(written.count_params()),
        "top_parameters": _count(steps),
        "top": [f"{type(step).__name__} '{step.name}'" for step in steps],
    }


def run_rest(request: RunRest) -> dict[str, Any]:
    """Compute the outputs of a model from the values of its first dense layer."""
    _, top = _opened(request.path)
    entry = keras.Input((top.units,))
    values = {id(top.dense.output): top.dense.layer.activation(entry)}

    def replaced(value: Any) -> Any:
        return values.get(id(top.trace.resolve(value)), value) if _is_tensor(value) else value

    for call in top.rest:
        args, named = keras.tree.map_structure(replaced, (call.args, call.kwargs))
        output = call.layer(*args, **named)
        made = keras.tree.flatten(output)
        values.update((id(old), new) for old, new in zip(call.outputs, made, strict=True))
    rest = keras.Model(entry, values[id(top.trace.output)])
    with np.load(request.sums, allow_pickle=False) as sums:
        outputs = {name: np.asarray(rest.predict(sums[name], verbose=0)) for name in sums.files}
    np.savez(request.results, **outputs)  # type: ignore[arg-type]
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


Changes = Mapping[int, Callable[[Tensor], Tensor]]
"""The replacement of a layer's call, by ``id`` of the layer."""


def rewrite(
    model: keras.Model, changes: Changes, tensors: Sequence[Tensor] | None = None
) -> keras.Model:
    """Rebuild a model around its layers, with some calls replaced at any depth.

    Args:
        model: functional or sequential. It is not changed; nested models without a replaced call
            are reused.
        changes: the replacement of each call, applied to the first tensor that went into it.
        tensors: what the new model will be called on, if that has another shape than before.
    """

    def call(layer: Any, *args: Any, **kwargs: Any) -> Tensor:
        if id(layer) in changes:
            return changes[id(layer)](keras.tree.flatten((args, kwargs))[0])
        if isinstance(layer, keras.Model) and _holds(layer, changes):
            layer = _nested(layer, changes, list(filter(_is_tensor, keras.tree.flatten(args))))
        return layer(*args, **kwargs)

    pairs = zip(model.inputs, tensors or model.inputs, strict=True)
    starts = [keras.Input(batch_shape=t.shape, dtype=t.dtype, name=old.name) for old, t in pairs]
    if isinstance(model, keras.Sequential):
        (start,) = starts
        x = start
        for layer in model.layers:
            x = call(layer, x)
        return keras.Model(start, x, name=model.name)
    return keras.models.clone_model(
        model,
        input_tensors=keras.tree.pack_sequence_as(model.input, starts),
        clone_function=lambda layer: layer,
        call_function=call,
    )


def _nested(model: keras.Model, changes: Changes, tensors: Sequence[Tensor]) -> keras.Model:
    new = rewrite(model, changes, tensors)
    # set on a model, trainable spreads to its layers, which have their own
    flags = [(layer, layer.trainable) for layer in new._flatten_layers(include_self=False)]
    new.trainable = model.trainable
    for layer, flag in flags:
        layer.trainable = flag
    return new


def _holds(model: keras.Model, changes: Changes) -> bool:
    operations = getattr(model, "operations", None) or model.layers
    return any(
        id(each) in changes or (isinstance(each, keras.Model) and _holds(each, changes))
        for each in operations
    )
