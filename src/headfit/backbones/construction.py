"""How Keras is set while it builds a backbone, whatever the user's ``keras.json`` says."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

# what keras.applications asks for, and what the layers of a saved model do
_RANDOM = (
    *("glorot_uniform", "he_normal", "VarianceScaling", "GlorotUniform", "GlorotNormal"),
    *("HeNormal", "HeUniform", "LecunNormal", "LecunUniform", "Orthogonal"),
    *("RandomNormal", "RandomUniform", "TruncatedNormal"),
)


@contextlib.contextmanager
def settings(data_format: str) -> Iterator[None]:
    """Build in float32 and a given layout, printing nothing on stdout, which belongs to results."""
    config = keras.config
    before = config.image_data_format(), config.floatx(), config.dtype_policy()
    config.set_image_data_format(data_format)
    config.set_floatx("float32")
    config.set_dtype_policy("float32")
    try:
        # Keras announces downloads on stdout, and warns of sizes that it has no weights of its own
        # for and of each layer that it leaves as it is
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings(action="ignore"):
            yield
    finally:
        config.set_image_data_format(before[0])
        config.set_floatx(before[1])
        config.set_dtype_policy(before[2])


def _tensor(array: np.ndarray) -> Any:
    if keras.backend.backend() != "jax":
        return array
    import jax  # noqa: PLC0415  (only where Keras runs on it)

    return jax.device_put(array)


class _Zeros(keras.initializers.Zeros):
    """Keras' zeros, made by numpy: JAX compiles a program for each shape."""

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Any:
        return _tensor(np.zeros(shape, keras.backend.standardize_dtype(dtype)))


class _Ones(keras.initializers.Ones):
    """Keras' ones, likewise."""

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Any:
        return _tensor(np.ones(shape, keras.backend.standardize_dtype(dtype)))


@contextlib.contextmanager
def no_drawing() -> Iterator[None]:
    """Let no kernel be drawn at random, where each is overwritten anyway.

    JAX compiles one program for each shape that is drawn, or filled with zeros or ones:
    EfficientNetB0 takes 31 s to build if it draws, 3 s if it fills, and 1 s as here.
    """
    made: list[tuple[keras.Initializer, type]] = []

    def stand_in(kind: type, public: type) -> type:
        class Initializer:
            @classmethod
            def from_config(cls, config: dict[str, Any]) -> keras.Initializer:
                made.append((kind(), public))
                return made[-1][0]

        return Initializer

    zeros = stand_in(_Zeros, keras.initializers.Zeros)
    ones = stand_in(_Ones, keras.initializers.Ones)
    names = dict.fromkeys((*_RANDOM, "zeros", "Zeros"), zeros) | dict.fromkeys(
        ("ones", "Ones"), ones
    )
    try:
        with keras.saving.custom_object_scope(names):
            yield
    finally:
        # a saved model names Keras' own
        for initializer, public in made:
            initializer.__class__ = public
