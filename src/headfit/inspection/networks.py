"""Networks to take apart: a backbone under a top, built without weights, or a saved model.

Imports Keras: it is used in a child process (see :mod:`headfit.worker`).
"""

from __future__ import annotations

import warnings
from pathlib import Path

import keras

import headfit.heads.layers.registered  # noqa: F401  (tells Keras of headfit's layers)
from headfit.backbones import efficientnet_lite
from headfit.backbones.build import untrained
from headfit.backbones.catalog import BackboneSpec
from headfit.errors import EngineError
from headfit.heads.chain import parse_head

OWN_TOP = "own"
"""Stands for the top that a network was published with."""


def bare(spec: BackboneSpec, size: int) -> keras.Model:
    """Build a backbone without its top, its weights all zero."""
    with untrained():
        return _without_top(spec, (size, size, 3))


def topped(spec: BackboneSpec, size: int, head: str, classes: int) -> keras.Model:
    """Build a backbone under a head, its weights all zero.

    Args:
        spec: which one.
        size: side of the square input in pixels.
        head: a chain, or :data:`OWN_TOP`.
        classes: K.

    Raises:
        UsageError: if the map does not suit the head.
    """
    shape = (size, size, 3)
    with untrained():
        if head == OWN_TOP and not spec.package:
            constructor = getattr(keras.applications, spec.name)
            return constructor(include_top=True, weights=None, input_shape=shape, classes=classes)
        # the tops of EfficientNet-Lite are plain: the average, then the classes
        model = _without_top(spec, shape)
        chain = parse_head("gap" if head == OWN_TOP else head)
        outputs = chain.build(model.output, classes, data_format="channels_last")
        return keras.Model(model.inputs, outputs, name=model.name)


def load(path: Path) -> keras.Model:
    """Load a saved model in safe mode: no code in it is run.

    Raises:
        EngineError: if Keras cannot load it; on another backend it may.
    """
    try:
        # Keras warns of what it leaves out of an optimizer, which is not built here at all
        with warnings.catch_warnings(action="ignore"):
            return keras.saving.load_model(path, compile=False, safe_mode=True)
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


def _without_top(spec: BackboneSpec, shape: tuple[int, int, int]) -> keras.Model:
    if spec.package:
        return efficientnet_lite.build(spec.name, shape)
    constructor = getattr(keras.applications, spec.name)
    return constructor(include_top=False, weights=None, input_shape=shape)
