"""What has to be known of an own model, found out with Keras in a child process."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import keras
import numpy as np

from headfit.backbones.construction import no_drawing, settings
from headfit.backbones.custom import function as own_function
from headfit.backbones.custom import spec as own
from headfit.backbones.custom.model import Opened, opened
from headfit.backbones.custom.spec import FunctionRequest, PlaceRequest
from headfit.backbones.graphs.trace import Call
from headfit.errors import EngineError, UsageError
from headfit.util import digests, files
from headfit.util.cache import BACKBONES

# packages that Keras imports by itself when a saved model names them, and this one
LOADABLE = ("keras", "keras_hub", "headfit")
OTHER = 32  # pixels that a model is tried with more than its own
_ARITHMETIC = ("TrueDivide", "Divide", "Multiply", "Subtract", "Add")


def describe_place(request: PlaceRequest) -> dict[str, Any]:
    """Describe a model of a file or a preset.

    Returns:
        ``size`` in pixels; ``bound_to``, why it takes no other, or ``""``; ``scaled_by``, the
        layers that scale pixels in front of all others; ``preprocessing``, ``scale`` and ``offset``
        that a preset names, or None; ``unloadable``, classes of layers that a saved model cannot be
        loaded with; ``map_shape`` [H, W, C]; ``channels_first``.
    """
    with settings("channels_last"), no_drawing():
        found = opened(request.place)
        facts = _facts(found, found.at(found.size))
        if request.place.startswith(own.HUB):
            facts |= _of_preset(request.place.removeprefix(own.HUB))
        return facts


def describe_function(request: FunctionRequest) -> dict[str, Any]:
    """Describe the model that a function gives, and keep its weights under its digest.

    The digest is of the weights, of the layers, and of all code that is the user's.

    Returns:
        As :func:`describe_place`, and ``digest``.
    """
    with settings("channels_last"):
        found = opened(request.place)
        model = found.at(found.size)
        facts = _facts(found, model)
        if own_function.takes_size(request.place):
            facts["bound_to"] = ""
    weights = [np.ascontiguousarray(array) for array in model.get_weights()]
    made_of = {
        "format": BACKBONES.format,
        "place": request.place,
        "weights": [digests.of_bytes(array.data) for array in weights],
        "layers": model.to_json(),
        "code": [digests.of_file(path) for path in own_function.sources()],
        "keras": version("keras"),
    }
    digest = digests.of_data(made_of)
    facts["digest"] = digest
    if BACKBONES.find(digest) is None:
        with BACKBONES.new_folder(digest) as temporary:
            arrays = {str(number): array for number, array in enumerate(weights)}
            np.savez(temporary / "weights.npz", **arrays)  # type: ignore[arg-type]
            files.write_json(temporary / "facts.json", facts)
    return facts


def _facts(found: Opened, model: keras.Model) -> dict[str, Any]:
    return {
        "size": found.size,
        "bound_to": "" if found.open else _bound_to(found),
        "scaled_by": list(dict.fromkeys(_scaling(found))),
        "preprocessing": None,
        "map_shape": [int(length) for length in model.output_shape[1:]],
        "unloadable": _unloadable(found, model),
        "channels_first": _turns(found, model),
    }


def _bound_to(found: Opened) -> str:
    """Say why a model cannot be built for other sizes than its own; nothing if it can."""
    try:
        found.at(found.size + OTHER)
    except UsageError as error:
        return str(error).partition(": ")[2].rpartition(". Leave")[0]
    return ""


def _unloadable(found: Opened, model: keras.Model) -> list[str]:
    """Name the classes of layers that plain Keras cannot load from a saved model."""
    originals = {id(call.layer) for call in found.traced.calls}
    return sorted(
        {
            type(layer).__name__
            for layer in model.layers
            if type(layer).__module__.partition(".")[0] not in LOADABLE
            or (isinstance(layer, keras.Layer) and id(layer) in originals)
        }
    )


def _turns(found: Opened, model: keras.Model) -> bool:
    """Whether it can be built channels first."""
    try:
        first = found.at(found.size, channels_first=True)
    except EngineError:
        return False
    _, height, width, channels = model.output_shape
    return bool(first.output_shape == (None, channels, height, width))


def _scaling(found: Opened) -> Iterator[str]:
    """Name what scales pixels in front of the first other layer with weights."""
    for call in found.traced.calls:
        if _scales(call):
            yield call.layer.name
        elif call.weights:
            return


def _scales(call: Call) -> bool:
    # "preprocessing" is what headfit calls it in the models that it writes
    if call.kind in {"Rescaling", "Normalization"} or call.layer.name == "preprocessing":
        return True
    numbers = [x for x in call.args if isinstance(x, int | float)]
    return call.kind in _ARITHMETIC and len(call.inputs) == len(numbers) == 1


def _of_preset(preset: str) -> dict[str, Any]:
    """Give the size and the scaling of pixels that a preset names, if it does."""
    import keras_hub  # noqa: PLC0415  (an extra)

    try:
        converter = keras_hub.layers.ImageConverter.from_preset(preset)
    except Exception:  # a preset without one; then the user is told that nothing scales
        return {}
    found: dict[str, Any] = {}
    scale, offset = (_triple(converter.scale, 1.0), _triple(converter.offset, 0.0))
    if scale != [1.0] * 3 or offset != [0.0] * 3:
        found["preprocessing"] = {"scale": scale, "offset": offset}
    return found


def _triple(value: Any, default: float) -> list[float]:
    numbers = np.asarray(default if value is None else value, np.float64).reshape(-1)
    return [float(x) for x in np.broadcast_to(numbers, (3,))]
