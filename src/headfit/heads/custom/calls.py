"""Build a custom head as a Keras model, save it and load it. Imports Keras.

This happens in a child process, or, for a callable that only this process has, on its backend.
"""

from __future__ import annotations

import contextlib
import importlib
import random
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

import headfit.heads.keras_layers  # noqa: F401  (registers headfit's layers with Keras)
from headfit.errors import ModelFileError, UsageError
from headfit.heads.custom.origin import REASON
from headfit.heads.pooling import MapShape
from headfit.util import saved_model
from headfit.util.child import importable_here


def save_called(
    name: str, function: Callable[..., Any], map_shape: MapShape, seed: int, path: str
) -> None:
    """Call a callable of this process and save the model; raise UsageError if it fails."""
    with _preserved_random_state():
        keras.utils.set_random_seed(seed)
        model = build_model(name, function, map_shape)
    save(name, model, path)


def build_model(name: str, function: Callable[..., Any], map_shape: MapShape) -> keras.Model:
    """Call a head on a map (height, width, channels): a model from maps to vectors (batch, d).

    Raises:
        UsageError: if it fails or does not return such vectors.
    """
    x = keras.Input(map_shape, name="maps")
    try:
        y = function(x)
    except (Exception, SystemExit) as error:
        raise failure(name, error) from None
    shape = f"{map_shape[0]}×{map_shape[1]}×{map_shape[2]}"
    if not isinstance(y, keras.KerasTensor):
        kind = f"{type(y).__module__}.{type(y).__qualname__}"
        raise UsageError(
            f"Head '{name}' returns a {kind} for a map of {shape}. Expected a Keras tensor with a "
            f"vector for each image."
        )
    if len(y.shape) != 2 or y.shape[1] is None or y.shape[0] is not None:
        raise UsageError(
            f"Head '{name}' returns a tensor of shape {tuple(y.shape)} for a map of {shape}. "
            f"Expected (None, d), a vector for each image. Add GlobalAveragePooling2D or Flatten."
        )
    try:
        return keras.Model(x, y, name="custom_head")
    except ValueError:
        raise UsageError(
            f"Head '{name}' returns a tensor that does not depend on the feature map alone."
        ) from None


def save(name: str, model: keras.Model, path: str) -> None:
    """Save a head; raise UsageError if Keras cannot."""
    try:
        model.save(path)
    except Exception as error:
        raise failure(name, error, "cannot be saved") from None


def load_compiled(path: Path, module: str, name: str) -> keras.Model:
    """Load a head that was compiled before, on any backend, and call the model ``name``.

    Args:
        path: the head as a Keras model.
        module: that the user named, and which registers its layers; empty if none.
        name: of the result.

    Raises:
        UsageError: if Keras cannot load it, or the module cannot be imported.
    """
    if module:
        import_module(module, module)
    model = load(str(path), path)
    return keras.Model(model.inputs[0], model.outputs[0], name=name)


def load(name: str, path: Path) -> keras.Model:
    """Load a saved model; raise UsageError if Keras cannot in safe mode."""
    try:
        return saved_model.load(path)
    except ModelFileError as error:
        raise UsageError(f"Head '{name}': {error}") from None
    except Exception as error:
        text = str(error).rpartition("Exception encountered: ")[2]
        reason = " ".join(text.split("config=")[0].split())[:REASON].rstrip(" .,")
        raise UsageError(
            f"Head '{name}' cannot be loaded by Keras in safe mode: {reason}. Use layers of "
            f"Keras, or register your own in the module of the head "
            f"(@keras.saving.register_keras_serializable()). Lambda layers are not accepted."
        ) from None


def import_module(name: str, module: str) -> Any:
    """Import a module, from the current folder first; raise UsageError if it fails."""
    try:
        with importable_here():
            return importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise failure(name, error) from None


def failure(name: str, error: BaseException, problem: str = "failed") -> UsageError:
    """Describe in one line what the user's code raised, and where."""
    ours = Path(__file__).parents[2]
    theirs = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not {"site-packages", "dist-packages"} & set(Path(frame.filename).parts)
        and not Path(frame.filename).is_relative_to(ours)
        and "importlib" not in frame.filename
        and Path(frame.filename).is_file()
    ]
    where = f" ({Path(theirs[-1].filename).name}, line {theirs[-1].lineno})" if theirs else ""
    reason = " ".join(str(error).split())[:REASON].rstrip(".")
    cause = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    return UsageError(f"Head '{name}' {problem}{where}: {cause}.")


@contextlib.contextmanager
def _preserved_random_state() -> Iterator[None]:
    python, numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
