"""Build a head of the user's own and turn it into programs. Imports Keras and JAX.

It runs in a child process (see :mod:`headfit.util.child`) whose Keras backend is JAX.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

import headfit.heads.keras_layers.registered  # noqa: F401  (tells Keras of headfit's layers)
from headfit.errors import ModelFileError, UsageError
from headfit.heads.custom import calls as own_call
from headfit.heads.custom.store import FACTS, MODEL, START, Opened
from headfit.heads.pooling import MapShape
from headfit.util import saved_model


def open_own(
    name: str,
    place: str | None,
    file: str | None,
    map_shape: list[int],
    seed: int,
    folder: str,
) -> dict[str, Any]:
    """Build a head for maps of one shape.

    Args:
        name: how the user calls it.
        place: ``module:function``, or None.
        file: a saved Keras model, or None.
        map_shape: height, width and channels.
        seed: of the weights that Keras draws.
        folder: where programs, first weights, model and facts are written.

    Returns:
        ``digest`` of what it computes and of its first weights.

    Raises:
        UsageError: if it cannot be built, or does not give a vector for each image.
    """
    from headfit.heads.custom.programs import Programs  # noqa: PLC0415  (JAX, not on all backends)

    keras.config.set_image_data_format("channels_last")
    keras.utils.set_random_seed(seed)
    height, width, channels = map_shape
    shape: MapShape = (height, width, channels)
    function = _function(name, place) if place else _saved(name, str(file), shape)
    model = own_call.applied(name, function, shape)
    _check_end(name, model)
    own_call.save(name, model, str(Path(folder) / MODEL))
    # what is trained is what will be loaded
    loaded = _load(name, Path(folder) / MODEL)
    programs = Programs(name, loaded, shape)
    programs.write(Path(folder))
    np.savez(Path(folder) / START, **programs.start())  # type: ignore[arg-type]
    modules = [place.partition(":")[0]] if place else []
    facts = {
        "map_shape": map_shape,
        "seed": seed if place else None,
        "modules": modules,
        **programs.facts(modules),
    }
    (Path(folder) / FACTS).write_text(json.dumps(facts), encoding="utf-8")
    return {"digest": facts["digest"]}


def load_kept(opened: Opened, name: str) -> keras.Model:
    """Load a head that was opened before, on any backend.

    Args:
        opened: which one.
        name: what the model is to be called.

    Raises:
        UsageError: if Keras cannot load it, or a module of its layers cannot be imported.
    """
    for module in opened.modules:
        _import(module, module)
    model = _load(str(opened.folder / MODEL), opened.folder / MODEL)
    return keras.Model(model.inputs[0], model.outputs[0], name=name)


def _load(name: str, path: Path) -> keras.Model:
    try:
        return saved_model.load(path)
    except ModelFileError as error:
        raise UsageError(f"--heads {name}: {error}") from None
    except Exception as error:
        text = str(error).rpartition("Exception encountered: ")[2]
        reason = " ".join(text.split("config=")[0].split())[: own_call.REASON].rstrip(" .,")
        raise UsageError(
            f"--heads {name}: Keras cannot load it in safe mode: {reason}. Expected layers of "
            f"Keras, or layers registered in the module of module:function "
            f"(@keras.saving.register_keras_serializable()); no Lambda."
        ) from None


def _saved(name: str, path: str, map_shape: MapShape) -> keras.Model:
    model = _load(name, Path(path))
    if len(getattr(model, "inputs", None) or ()) != 1:
        raise UsageError(f"--heads {name} is no model with one input, a feature map.")
    wanted = tuple(model.inputs[0].shape)[1:]
    if len(wanted) != 3 or any(w not in (None, s) for w, s in zip(wanted, map_shape, strict=True)):
        raise UsageError(
            f"--heads {name} is for inputs of shape {wanted}, these feature maps have {map_shape}."
        )
    return model


def _function(name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    found = _import(name, module)
    if not hasattr(found, attribute):
        raise UsageError(f"--heads {name}: module '{module}' has no '{attribute}'.")
    function = getattr(found, attribute)
    if not callable(function):
        raise UsageError(
            f"--heads {name}: '{attribute}' in module '{module}' is a "
            f"{type(function).__qualname__} and cannot be called."
        )
    return function


def _import(name: str, module: str) -> Any:
    """Import a module, the current folder first; Keras and its like are there already."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise own_call.failed(name, error) from None
    finally:
        sys.path.remove(here)


def _check_end(name: str, model: keras.Model) -> None:
    """Refuse probabilities: headfit's own softmax layer follows."""
    layer = model.layers[-1]
    while isinstance(layer, keras.Model) and layer.layers:
        layer = layer.layers[-1]
    activation = getattr(layer, "activation", None)
    if isinstance(layer, keras.layers.Softmax) or activation is keras.activations.softmax:
        raise UsageError(
            f"--heads {name} ends in a softmax layer, '{layer.name}'. Leave it out: the softmax "
            f"layer over the classes is added to every head."
        )
