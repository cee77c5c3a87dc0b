"""Networks to take apart: a backbone under a top, built without weights, or a saved model.

Imports Keras: it is used in a child process (see :mod:`headfit.util.child`).
"""

from __future__ import annotations

import keras

from headfit.backbones import efficientnet_lite
from headfit.backbones.build import untrained
from headfit.backbones.catalog import BackboneSpec
from headfit.backbones.custom.file import load
from headfit.heads.chain import parse_head

__all__ = ["OWN_TOP", "bare", "load", "topped"]

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


def _without_top(spec: BackboneSpec, shape: tuple[int, int, int]) -> keras.Model:
    if spec.package:
        return efficientnet_lite.build(spec.name, shape)
    constructor = getattr(keras.applications, spec.name)
    return constructor(include_top=False, weights=None, input_shape=shape)
