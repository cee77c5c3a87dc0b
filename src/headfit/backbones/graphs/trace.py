"""A Keras model as one flat list of calls, whatever is nested in it.

Imports Keras: it is used in a child process (see :mod:`headfit.util.child`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from headfit.errors import ModelFileError
from headfit.util.model_parts import too_large

Tensor = Any
"""A Keras tensor; Keras carries no types."""


@dataclass(frozen=True)
class Call:
    """One layer, or one operation, called on tensors.

    Attributes:
        layer: what is called; never a model that can be opened.
        args: positional arguments of the call.
        kwargs: its named arguments.
        inputs: the tensors among the arguments.
        outputs: what comes out.
        within: names of the nested models around it, the outermost first.
        training: the ``training`` argument written in the graph, of the call or of the nearest
            model around it; None if it is left to the caller.
    """

    layer: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    within: tuple[str, ...]
    training: bool | None

    @property
    def kind(self) -> str:
        """Name of the layer's class."""
        return type(self.layer).__name__

    @property
    def output(self) -> Tensor:
        """The first output."""
        return self.outputs[0]

    @property
    def numbers(self) -> list[np.ndarray]:
        """Numbers among the positional arguments, of size 1 or, for each channel, 3; float64."""
        constants = [x for x in self.args if not isinstance(x, keras.KerasTensor)]
        return [array for array in map(_number, constants) if array is not None]

    @property
    def weights(self) -> list[Any]:
        """The layer's variables; none for an operation."""
        return list(getattr(self.layer, "weights", []))

    @property
    def trainable(self) -> bool:
        """Whether the layer's own weights would learn."""
        return bool(getattr(self.layer, "trainable", False))


@dataclass
class Trace:
    """All calls of a model in an order in which they can be run.

    Attributes:
        model: the model.
        inputs: the tensor that goes in.
        output: the tensor that comes out.
        calls: every call, nested models opened.
    """

    model: keras.Model
    inputs: Tensor
    output: Tensor
    calls: list[Call]
    _alias: dict[int, Tensor] = field(default_factory=dict)
    _makers: dict[int, int] = field(default_factory=dict)

    def resolve(self, tensor: Tensor) -> Tensor:
        """Give the tensor that a layer really made, for one that a nested model passes on."""
        while id(tensor) in self._alias:
            tensor = self._alias[id(tensor)]
        return tensor

    def maker(self, tensor: Tensor) -> int | None:
        """Give the number of the call that made a tensor; None for the model's input."""
        return self._makers.get(id(self.resolve(tensor)))

    def ends_nested(self, tensor: Tensor) -> bool:
        """Whether a nested model puts out this very tensor."""
        wanted = self.resolve(tensor)
        return any(self.resolve(passed) is wanted for passed in self._alias.values())


def trace(model: keras.Model, shape: Sequence[int | None]) -> Trace:
    """Call a model on a symbolic input and record every call.

    Args:
        model: functional or sequential, one input and one output.
        shape: of one input, for instance ``(224, 224, 3)``; None where it is open.

    Raises:
        ModelFileError: if it is of another kind, or has several inputs or outputs.
    """
    if not _opens(model):
        raise ModelFileError(
            f"its class {type(model).__name__} hides its layers; expected a functional or a "
            f"sequential model"
        )
    dtype = model.inputs[0].dtype if model.inputs else None
    entry = keras.Input(tuple(shape), dtype=dtype, name="inspected")
    traced = Trace(model, entry, entry, [])
    outputs = _walk(traced, model, [entry], (), None)
    if len(outputs) != 1:
        raise ModelFileError(f"it has {len(outputs)} outputs; expected one")
    traced.output = traced.resolve(outputs[0])
    return traced


def _number(value: Any) -> np.ndarray | None:
    if value is None or isinstance(value, str | bool | list | tuple):
        return None
    try:
        array = np.asarray(keras.ops.convert_to_numpy(value), np.float64).reshape(-1)
    except (TypeError, ValueError):
        return None
    return array if len(array) in (1, 3) else None


def _opens(layer: Any) -> bool:
    """Whether a layer is a model whose graph is known: sequential or functional."""
    return isinstance(layer, keras.Model) and (
        isinstance(layer, keras.Sequential) or hasattr(layer, "operations")
    )


def _walk(
    traced: Trace,
    model: keras.Model,
    tensors: list[Tensor],
    within: tuple[str, ...],
    training: bool | None,
) -> list[Tensor]:
    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        return _call(traced, layer, args, kwargs, within, training)

    if isinstance(model, keras.Sequential):
        result = tensors[0]
        for layer in model.layers:
            result = call(layer, result)
        return list(keras.tree.flatten(result))
    if len(model.inputs) != len(tensors):
        raise ModelFileError(f"it has {len(model.inputs)} inputs; expected one image")
    # fresh inputs, since a clone would copy whatever lies behind tensors that are no inputs
    fresh = [keras.Input(batch_shape=t.shape, dtype=t.dtype) for t in tensors]
    traced._alias.update((id(new), old) for new, old in zip(fresh, tensors, strict=True))
    clone = keras.models.clone_model(
        model,
        input_tensors=keras.tree.pack_sequence_as(model.input, fresh),
        clone_function=lambda layer: layer,
        call_function=call,
    )
    _KEPT.append((fresh, clone))
    return list(clone.outputs)


def _call(
    traced: Trace,
    layer: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    within: tuple[str, ...],
    training: bool | None,
) -> Any:
    outputs = layer(*args, **kwargs)
    flat = keras.tree.flatten(outputs)
    if complaint := too_large(layer.name, flat):
        raise ModelFileError(complaint)
    argument = kwargs.get("training")
    mode = training if argument is None else bool(argument)
    inputs = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, keras.KerasTensor)]
    if _opens(layer):
        inner = _walk(traced, layer, inputs, (*within, layer.name), mode)
        traced._alias.update((id(out), made) for out, made in zip(flat, inner, strict=True))
        _KEPT.append(flat)
        return outputs
    traced._makers.update((id(out), len(traced.calls)) for out in flat)
    traced.calls.append(Call(layer, args, kwargs, tuple(inputs), tuple(flat), within, mode))
    return outputs


# tensors are identified by id(), so none may be freed while the process lives
_KEPT: list[Any] = []
