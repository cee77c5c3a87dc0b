"""Load a custom backbone and cut it before its head.

Imports Keras: it is used in child processes (see :mod:`headfit.util.child`), and where Keras itself
runs the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from headfit.backbones.custom import file, function, preset
from headfit.backbones.custom.spec import HUB, is_file, weights_file
from headfit.backbones.graphs.boundary import Boundary, find_boundary
from headfit.backbones.graphs.replay import replay
from headfit.backbones.graphs.trace import Trace, trace
from headfit.backbones.spec import BackboneSpec
from headfit.errors import EngineError, ModelFileError, UsageError, WeightsError

NAME = "own_backbone"
OPEN_SIZE = 224  # pixels, where neither the model nor the user sets it


@dataclass(frozen=True)
class TracedModel:
    """A custom backbone, taken apart.

    Attributes:
        place: where it comes from.
        traced: all its calls, at its own size.
        end: where its map is.
        size: side of its own input in pixels.
        open: whether it leaves the size open.
    """

    place: str
    traced: Trace
    end: Boundary
    size: int
    open: bool

    def at(self, size: int, *, channels_first: bool = False) -> keras.Model:
        """Build it from image to map; see :func:`headfit.backbones.graphs.replay.replay`.

        Raises:
            ModelFileError: if a layer is a Lambda.
            UsageError: if it cannot run at this size.
            EngineError: if it cannot run at its own.
        """
        try:
            return replay(self.traced, self.end, size, name=NAME, channels_first=channels_first)
        except ModelFileError as error:
            raise ModelFileError(f"{self.place} cannot be a backbone: {error}.") from None
        except EngineError as error:
            if size == self.size:
                raise EngineError(f"{self.place} cannot be a backbone: {error}.") from None
            raise UsageError.invalid(
                "size",
                size,
                f"one that {self.place} can run at ({error})",
                f"Leave `size` out for {self.size}.",
            ) from None


def build(spec: BackboneSpec, size: int, *, channels_first: bool = False) -> keras.Model:
    """Build a custom backbone from image to map; see :func:`headfit.backbones.build.build`."""
    model = opened(spec.place, size).at(size, channels_first=channels_first)
    if spec.pinned:
        _set_weights(model, spec)
    return model


def opened(place: str, size: int | None = None) -> TracedModel:
    """Load a custom backbone and find its feature map.

    Args:
        place: an absolute path, ``module:function`` or ``hub:preset``.
        size: side of the input in pixels where the model leaves it open; 224 if None.

    Raises:
        ModelFileError: if it cannot be a backbone.
        UsageError: if there is no such module or function.
        EngineError, WeightsError: if it cannot be loaded.
    """
    model = load(place, size)
    shape = _declared(model, place)
    side = shape[0] or size or OPEN_SIZE
    try:
        traced = trace(model, (side, side, 3))
        end = find_boundary(traced)
    except ModelFileError as error:
        raise ModelFileError(f"{place} cannot be a backbone: {error}.") from None
    if traced.maker(end.map) is None:
        raise ModelFileError(
            f"{place} cannot be a backbone: it has no feature map (batch, height, "
            f"width, channels), only vectors."
        )
    return TracedModel(place, traced, end, side, shape[0] is None)


def load(place: str, size: int | None) -> keras.Model:
    """Load the model of a custom backbone, head included."""
    if is_file(place):
        try:
            return file.load(Path(place))
        except EngineError as error:
            raise EngineError(
                f"{error} For a model with layers of your own, pass a function that loads it, as "
                f"module:function."
            ) from None
    if place.startswith(HUB):
        return preset.load(place.removeprefix(HUB))
    return function.call(place, size)


def _declared(model: keras.Model, place: str) -> tuple[int | None, int | None, int | None]:
    """Give the shape of one input as the model declares it; None where it is open.

    Raises:
        ModelFileError: if it takes anything but one square RGB image, channels last.
    """
    shapes = [tuple(tensor.shape[1:]) for tensor in getattr(model, "inputs", None) or ()]
    if not shapes:
        return None, None, 3
    height, width, channels = shapes[0] if len(shapes[0]) == 3 else (None, None, 0)
    if len(shapes) != 1 or channels not in {None, 3} or height != width:
        inputs = ", ".join(map(str, shapes))
        raise ModelFileError(
            f"{place} cannot be a backbone: it takes {inputs}; expected one square RGB image, "
            f"(side, side, 3)."
        )
    return height, width, channels


def _set_weights(model: keras.Model, spec: BackboneSpec) -> None:
    try:
        with np.load(weights_file(spec.digest), allow_pickle=False) as arrays:
            model.set_weights([arrays[str(number)] for number in range(len(arrays.files))])
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"{spec.place} returns another model than at the start of the run: {reason}."
        ) from None
