"""Builds a backbone in a child process, only to read the shape of its feature map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headfit.backbones.build import build
from headfit.backbones.catalog import find
from headfit.backbones.weights import IMAGENET, RANDOM

if TYPE_CHECKING:
    from headfit.inspection.diagram.shape import MapShapeRequest


def map_shape(request: MapShapeRequest) -> dict[str, Any]:
    """Give ``map_shape`` [H, W, C] of a backbone."""
    spec = find(request.backbone)
    model = build(spec, request.size, IMAGENET if spec.custom else RANDOM)
    return {"map_shape": [int(length) for length in model.output_shape[1:]]}
