"""How Keras is set while it builds a backbone, whatever the user's ``keras.json`` says."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

# what keras.applications asks for, and what the layers of a saved model do
_RANDOM = (
    *("glorot_uniform", "he_normal", "VarianceScaling", "GlorotUniform", "GlorotNormal"),
    *("HeNormal", "HeUniform", "LecunNormal", "LecunUniform", "Orthogonal"),
    *("RandomNormal", "RandomUniform", "TruncatedNormal"),
)


_NUMBERS = "object_name_uids"


@contextlib.contextmanager
def settings(data_format: str) -> Iterator[None]:
    """Build in float32 and a given layout, with the names of layers that a new process gives.

    Nothing is printed on stdout, which belongs to results.
    """
    config = keras.config
    before = config.image_data_format(), config.floatx(), config.dtype_policy()
    config.set_image_data_format(data_format)
    config.set_floatx("float32")
    config.set_dtype_policy("float32")
    try:
        # Keras announces downloads on stdout, and warns of sizes that it has no weights of its own
        # for and of each layer that it leaves as it is
        silent = warnings.catch_warnings(action="ignore")
        with contextlib.redirect_stdout(sys.stderr), silent, _first_names():
            yield
    finally:
        config.set_image_data_format(before[0])
        config.set_floatx(before[1])
        config.set_dtype_policy(before[2])


@contextlib.contextmanager
def _first_names() -> Iterator[None]:
    """Number the layers without a name from the start: trained weights are found by these names."""
    from keras.src.backend.common import global_state  # noqa: PLC0415  (private, like its names)

    before = global_state.get_global_attribute(_NUMBERS)
    global_state.set_global_attribute(_NUMBERS, defaultdict(int))
    try:
        yield
    finally:
        global_state.set_global_attribute(_NUMBERS, before)


class _NoDraw:
    """What Keras finds in place of a random initializer."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> keras.Initializer:
        """Give Keras' own zeros, which a saved model may name."""
        return keras.initializers.Zeros()


def _filled(fill: Callable[..., np.ndarray]) -> Callable[..., Any]:
    """Give what replaces ``__call__`` of an initializer that fills with one value."""

    def call(self: object, shape: tuple[int, ...], dtype: str | None = None, **_: object) -> Any:
        array = fill(shape, keras.backend.standardize_dtype(dtype))
        if keras.backend.backend() != "jax":
            return array
        import jax  # noqa: PLC0415  (only where Keras runs on it)

        return jax.device_put(array)

    return call


@contextlib.contextmanager
def no_drawing() -> Iterator[None]:
    """Let no kernel be drawn at random, where each is overwritten anyway; let numpy fill.

    JAX compiles a program for each shape that is drawn or filled: EfficientNetB0 takes 31 s to
    build if it draws, 3 s if it fills, and 1 s as here.
    """
    initializers = keras.initializers
    fills = {initializers.Zeros: np.zeros, initializers.Ones: np.ones}
    originals = {kind: kind.__call__ for kind in fills}
    for kind, fill in fills.items():
        kind.__call__ = _filled(fill)
    try:
        with keras.saving.custom_object_scope(dict.fromkeys(_RANDOM, _NoDraw)):
            yield
    finally:
        for kind, original in originals.items():
            kind.__call__ = original
