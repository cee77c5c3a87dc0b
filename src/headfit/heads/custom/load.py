"""Load custom heads that were saved by Keras, in safe mode. Imports Keras."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import keras

import headfit.heads.keras_layers  # noqa: F401  (registers headfit's layers with Keras)
from headfit.errors import ModelFileError, UsageError
from headfit.heads.custom.calls import failure
from headfit.heads.custom.origin import REASON
from headfit.heads.custom.store import MODEL, CompiledHead
from headfit.util import saved_model
from headfit.util.child import importable_here


def load_compiled(head: CompiledHead, name: str) -> keras.Model:
    """Load a head that was compiled before, on any backend.

    Args:
        head: which one.
        name: what the model is to be called.

    Raises:
        UsageError: if Keras cannot load it, or a module of its layers cannot be imported.
    """
    for module in head.modules:
        import_module(module, module)
    model = load(str(head.folder / MODEL), head.folder / MODEL)
    return keras.Model(model.inputs[0], model.outputs[0], name=name)


def load(name: str, path: Path) -> keras.Model:
    """Load a saved model.

    Raises:
        UsageError: if Keras cannot load it in safe mode.
    """
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
    """Import a module for a head, from the current folder first; Keras is imported already.

    Raises:
        UsageError: if it fails.
    """
    try:
        with importable_here():
            return importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise failure(name, error) from None
