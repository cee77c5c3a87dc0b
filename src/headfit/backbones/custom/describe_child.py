"""Inspect a custom backbone with Keras, in a child process."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import keras
import numpy as np

from headfit.backbones.construction import no_drawing, settings
from headfit.backbones.custom import function
from headfit.backbones.custom.model import NAME, TracedModel, opened
from headfit.backbones.custom.spec import HUB, FunctionRequest, PlaceRequest
from headfit.backbones.graphs.replay import replay
from headfit.backbones.graphs.trace import Call
from headfit.errors import EngineError
from headfit.util import digests, files
from headfit.util.cache import BACKBONES

# packages that Keras imports by itself when a saved model names them, and this one
LOADABLE = ("keras", "keras_hub", "headfit")
OTHER = 32  # pixels by which another size is larger
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
        whole = opened(request.place)
        facts = _facts(whole, whole.at(whole.size))
        if request.place.startswith(HUB):
            facts |= _of_preset(request.place.removeprefix(HUB))
        return facts


def describe_function(request: FunctionRequest) -> dict[str, Any]:
    """Describe the model that a function gives, and keep its weights under its digest.

    The digest is of the weights, of the layers, and of all code that is the user's.

    Returns:
        As :func:`describe_place`, and ``digest``.
    """
    with settings("channels_last"):
        whole = opened(request.place)
        model = whole.at(whole.size)
        facts = _facts(whole, model)
        if function.takes_size(request.place):
            facts["bound_to"] = ""
    weights = [np.ascontiguousarray(array) for array in model.get_weights()]
    made_of = {
        "format": BACKBONES.format,
        "place": request.place,
        "weights": [digests.of_bytes(array.data) for array in weights],
        "layers": model.to_json(),
        "code": [digests.of_file(path) for path in function.sources()],
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


def _facts(whole: TracedModel, model: keras.Model) -> dict[str, Any]:
    return {
        "size": whole.size,
        "bound_to": "" if whole.open else _bound_to(whole),
        "scaled_by": list(dict.fromkeys(_scaling(whole))),
        "preprocessing": None,
        "map_shape": [int(length) for length in model.output_shape[1:]],
        "unloadable": _unloadable(whole, model),
        "channels_first": _turns(whole, model),
    }


def _bound_to(whole: TracedModel) -> str:
    """Say why a model cannot be built for another size; empty if it can."""
    try:
        replay(whole.traced, whole.end, whole.size + OTHER, name=NAME)
    except EngineError as error:
        return str(error)
    return ""


def _unloadable(whole: TracedModel, model: keras.Model) -> list[str]:
    """Name the classes of layers that plain Keras cannot load from a saved model."""
    originals = {id(call.layer) for call in whole.traced.calls}
    return sorted(
        {
            type(layer).__name__
            for layer in model.layers
            if type(layer).__module__.partition(".")[0] not in LOADABLE
            or (isinstance(layer, keras.Layer) and id(layer) in originals)
        }
    )


def _turns(whole: TracedModel, model: keras.Model) -> bool:
    """Whether it can be built channels first."""
    try:
        first = whole.at(whole.size, channels_first=True)
    except EngineError:
        return False
    _, height, width, channels = model.output_shape
    return bool(first.output_shape == (None, channels, height, width))


def _scaling(whole: TracedModel) -> Iterator[str]:
    """Name what scales pixels in front of the first other layer with weights."""
    for call in whole.traced.calls:
        if _scales(call):
            yield call.layer.name
        elif call.weights:
            return


def _scales(call: Call) -> bool:
    # "preprocessing" is what headfit calls it in the models that it writes
    if call.kind in {"Rescaling", "Normalization"} or call.layer.name == "preprocessing":
        return True
    return call.kind in _ARITHMETIC and len(call.inputs) == len(call.numbers) == 1


def _of_preset(preset: str) -> dict[str, Any]:
    """Give the size and the scaling of pixels that a preset names, if it does."""
    import keras_hub  # noqa: PLC0415  (an extra)

    try:
        converter = keras_hub.layers.ImageConverter.from_preset(preset)
    except Exception:  # a preset without one: pixels are not scaled, which a note says
        return {}
    scale, offset = (_triple(converter.scale, 1.0), _triple(converter.offset, 0.0))
    if scale == [1.0] * 3 and offset == [0.0] * 3:
        return {}
    return {"preprocessing": {"scale": scale, "offset": offset}}


def _triple(value: Any, default: float) -> list[float]:
    numbers = np.asarray(default if value is None else value, np.float64).reshape(-1)
    return [float(x) for x in np.broadcast_to(numbers, (3,))]
