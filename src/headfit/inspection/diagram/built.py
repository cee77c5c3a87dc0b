"""Build a backbone only to read its output shape.

Imports Keras, so it runs in a child process (see :mod:`headfit.util.child`).
"""

from __future__ import annotations

from typing import Any

from headfit.backbones.build import build
from headfit.backbones.catalog import find
from headfit.backbones.weights import IMAGENET, RANDOM


def map_shape(name: str, size: int) -> dict[str, Any]:
    """Give ``map_shape`` [H, W, C] of a backbone.

    Args:
        name: of the backbone, or the reference of an own model.
        size: side of the input in pixels.
    """
    spec = find(name)
    model = build(spec, size, IMAGENET if spec.own else RANDOM)
    return {"map_shape": [int(length) for length in model.output_shape[1:]]}
