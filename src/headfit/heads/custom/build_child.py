"""Build a custom head with Keras and compile it with JAX, in a child process on the JAX backend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from headfit.errors import UsageError
from headfit.heads.custom.calls import build_model, import_module, load, save
from headfit.heads.custom.programs import Programs
from headfit.heads.custom.store import FACTS, MODEL, START, CompileRequest
from headfit.heads.pooling import MapShape
from headfit.util.child import importable_here


def compile_head(request: CompileRequest) -> dict[str, Any]:
    """Build and compile a head; programs, initial weights, model and facts go into its folder.

    Returns:
        ``digest`` of what it computes and of its initial weights.

    Raises:
        UsageError: if it cannot be built, or does not return a vector for each image.
    """
    name, place, folder = request.name, request.place, Path(request.folder)
    keras.config.set_image_data_format("channels_last")
    keras.utils.set_random_seed(request.seed)
    height, width, channels = request.map_shape
    shape: MapShape = (height, width, channels)
    function = _function(name, place) if place else _saved_model(name, str(request.file), shape)
    with importable_here():  # the function may import more when it is called
        model = build_model(name, function, shape)
    _check_end(name, model)
    save(name, model, str(folder / MODEL))
    # what is trained must be what will be loaded
    programs = Programs(name, load(name, folder / MODEL), shape)
    programs.write(folder)
    np.savez(folder / START, **programs.start())  # type: ignore[arg-type]
    facts = {
        "map_shape": list(shape),
        "seed": request.seed if place else None,
        **programs.facts([place.partition(":")[0]] if place else []),
    }
    (folder / FACTS).write_text(json.dumps(facts), encoding="utf-8")
    return {"digest": facts["digest"]}


def _saved_model(name: str, path: str, map_shape: MapShape) -> keras.Model:
    model = load(name, Path(path))
    inputs: list[Any] = list(getattr(model, "inputs", None) or ())
    if len(inputs) != 1:
        raise UsageError(
            f"Head '{name}' must be a model with one input, a feature map. Received a model with "
            f"{len(inputs)} inputs."
        )
    wanted = tuple(inputs[0].shape)[1:]
    if len(wanted) != 3 or any(w not in (None, s) for w, s in zip(wanted, map_shape, strict=True)):
        raise UsageError(
            f"Head '{name}' takes inputs of shape {wanted}, but these feature maps have the shape "
            f"{map_shape}."
        )
    return model


def _function(name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    namespace = import_module(name, module)
    if not hasattr(namespace, attribute):
        raise UsageError(f"Head '{name}': module '{module}' has no '{attribute}'.")
    function = getattr(namespace, attribute)
    if not callable(function):
        raise UsageError(
            f"Head '{name}': '{attribute}' in module '{module}' must be a function. Received: "
            f"{type(function).__qualname__}."
        )
    return function


def _check_end(name: str, model: keras.Model) -> None:
    """Reject probabilities: headfit's own softmax layer follows."""
    layer = model.layers[-1]
    while isinstance(layer, keras.Model) and layer.layers:
        layer = layer.layers[-1]
    activation = getattr(layer, "activation", None)
    if isinstance(layer, keras.layers.Softmax) or activation is keras.activations.softmax:
        raise UsageError(
            f"Head '{name}' ends in a softmax layer, '{layer.name}'. Remove it: headfit adds the "
            f"softmax layer over the classes to every head."
        )
