"""Load a model file, checked and in safe mode: no code in it is run. Imports Keras."""

from __future__ import annotations

import warnings
from pathlib import Path

import keras

import headfit.layers  # noqa: F401  (registers headfit's layers with Keras)
from headfit.errors import EngineError, ModelFileError
from headfit.util import saved_model


def load(path: Path) -> keras.Model:
    """Load a saved model: checked, in safe mode, not compiled.

    Raises:
        ModelFileError: if it is not a model, or not a safe one.
        EngineError: if Keras cannot load it; on another backend it may.
    """
    try:
        # Keras warns of what it leaves out of an optimizer, which is not built here at all
        with warnings.catch_warnings(action="ignore"):
            return saved_model.load(path)
    except ModelFileError:
        raise
    except Exception as error:
        raise EngineError(
            f"Keras cannot load '{path}': {_reason(error)}. Expected a whole model, .keras or .h5, "
            f"of layers that Keras or headfit knows."
        ) from None


def _reason(error: Exception) -> str:
    """Give the first sentence that names the cause, which Keras puts behind the configuration."""
    text = str(error).rpartition("Exception encountered: ")[2]
    first = (text.splitlines() or [""])[0].partition(". ")[0]
    return first.rstrip(" .:")[:300] or type(error).__name__
