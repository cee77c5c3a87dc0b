"""Apply a head of the user's own to a feature map, and see that a vector comes out. Imports Keras.

It runs in a child process, or where only this process knows the callable, on its Keras backend.
"""

from __future__ import annotations

import contextlib
import random
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from headfit.errors import UsageError
from headfit.heads.custom.store import Origin
from headfit.heads.pooling import MapShape

REASON = 250  # characters of a foreign error


def save_called(origin: Origin, map_shape: MapShape, seed: int, path: str) -> None:
    """Call a callable of this process and save the model that it makes.

    Raises:
        UsageError: as :func:`applied`, or if Keras cannot save it.
    """
    assert origin.function is not None
    with _random_state_kept():
        keras.utils.set_random_seed(seed)
        model = applied(origin.name, origin.function, map_shape)
    save(origin.name, model, path)


def applied(name: str, function: Callable[..., Any], map_shape: MapShape) -> keras.Model:
    """Apply a head to a map.

    Args:
        name: how the user calls it.
        function: from a Keras tensor to a Keras tensor.
        map_shape: height, width and channels.

    Returns:
        A model from maps (batch, H, W, C) to vectors (batch, d).

    Raises:
        UsageError: if it fails, or gives anything but such vectors.
    """
    x = keras.Input(map_shape, name="maps")
    try:
        y = function(x)
    except (Exception, SystemExit) as error:
        raise failed(name, error) from None
    shape = f"{map_shape[0]}×{map_shape[1]}×{map_shape[2]}"
    if not isinstance(y, keras.KerasTensor):
        kind = f"{type(y).__module__}.{type(y).__qualname__}"
        raise UsageError(
            f"--heads {name} gives a {kind} for a map of {shape}; expected a Keras tensor, a "
            f"vector for each image."
        )
    if len(y.shape) != 2 or y.shape[1] is None or y.shape[0] is not None:
        raise UsageError(
            f"--heads {name} gives a tensor of shape {tuple(y.shape)} for a map of {shape}; "
            f"expected (None, d), a vector for each image. GlobalAveragePooling2D or Flatten "
            f"make one of a map."
        )
    try:
        return keras.Model(x, y, name="own_head")
    except ValueError:
        raise UsageError(
            f"--heads {name} gives a tensor that does not come from the feature map alone."
        ) from None


def save(name: str, model: keras.Model, path: str) -> None:
    """Save a head.

    Raises:
        UsageError: if Keras cannot.
    """
    try:
        model.save(path)
    except Exception as error:
        raise failed(name, error, "cannot be saved") from None


def failed(name: str, error: BaseException, what: str = "failed") -> UsageError:
    """Say in one line what the user's code raised, and where."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = Path(__file__).parents[2]
    theirs = [
        frame
        for frame in frames
        if not {"site-packages", "dist-packages"} & set(Path(frame.filename).parts)
        and not Path(frame.filename).is_relative_to(ours)
        and "importlib" not in frame.filename
        and Path(frame.filename).is_file()
    ]
    where = f" ({Path(theirs[-1].filename).name}, line {theirs[-1].lineno})" if theirs else ""
    reason = " ".join(str(error).split())[:REASON].rstrip(".")
    said = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    return UsageError(f"--heads {name} {what}{where}: {said}.")


@contextlib.contextmanager
def _random_state_kept() -> Iterator[None]:
    python, numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
