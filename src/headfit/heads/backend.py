"""Which backend Keras should use when the user has chosen none that works."""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

KERAS_DEFAULT = "tensorflow"


def select_backend() -> None:
    """Set ``KERAS_BACKEND`` to JAX if Keras would look for TensorFlow, which is not installed.

    TensorFlow is Keras' default, which it also writes into ``keras.json`` on its first import. An
    explicit choice, by ``KERAS_BACKEND`` or of another backend in ``keras.json``, is respected, and
    nothing is changed once Keras has been imported.
    """
    if "keras" in sys.modules or os.environ.get("KERAS_BACKEND"):
        return
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        backend = json.loads((home / "keras.json").read_text("utf-8"))["backend"]
    except (OSError, ValueError, KeyError, TypeError):
        backend = KERAS_DEFAULT
    if backend == KERAS_DEFAULT and find_spec(KERAS_DEFAULT) is None:
        os.environ["KERAS_BACKEND"] = "jax"
