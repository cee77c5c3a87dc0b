"""How Keras is set while it builds a backbone, whatever the user's ``keras.json`` says."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import keras

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


class _NoDraw:
    """What Keras finds in place of a random initializer."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> keras.Initializer:
        """Give Keras' own zeros, which a saved model may name."""
        return keras.initializers.Zeros()


def no_drawing() -> Any:
    """Let no kernel be drawn at random, where each is overwritten anyway.

    JAX compiles one drawing for each shape: EfficientNetB0 takes 31 s to build with, 3 s without.
    """
    return keras.saving.custom_object_scope(dict.fromkeys(_RANDOM, _NoDraw))
