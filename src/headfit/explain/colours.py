"""A heat map's colours: orange where a position supports the class, blue where it opposes it.

Of a number, orange pushes it up and blue pushes it down.

People who confuse red and green can tell the two apart, and 0 has no colour.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image

SUPPORTS, OPPOSES = (230, 97, 1), (33, 87, 190)
OPACITY = 0.85
SHARE = 99.0
"""Percentage of all positions within the colour scale; larger values have its last colour."""


def scale_of(maps: Iterable[np.ndarray]) -> float:
    """Compute the contribution with the full colour, so that maps can share it; above 0."""
    sizes = [np.abs(each).ravel() for each in maps]
    largest = float(np.percentile(np.concatenate(sizes), SHARE)) if sizes else 0.0
    return largest if largest > 0 else 1.0


def coloured(under: Image.Image, values: np.ndarray, scale: float) -> Image.Image:
    """Lay a heat map over a grey picture.

    Args:
        under: the picture; it becomes grey, so that all colours are the map's.
        values: float (H, W), brought to the picture's size by bilinear interpolation, which never
            goes beyond the values themselves.
        scale: the contribution with the full colour.
    """
    field = Image.fromarray(values.astype(np.float32)).resize(under.size, Image.Resampling.BILINEAR)
    share = np.clip(np.asarray(field)[..., None] / scale, -1, 1)
    grey = np.asarray(under.convert("L"), np.float32)[..., None]
    colour = np.where(share > 0, np.array(SUPPORTS, np.float32), np.array(OPPOSES, np.float32))
    opacity = OPACITY * np.abs(share)
    mixed = grey * (1 - opacity) + colour * opacity
    return Image.fromarray(mixed.round().astype(np.uint8))


def overlay(values: np.ndarray, scale: float) -> Image.Image:
    """Make a heat map that can lie over a grey picture, a pixel for each position.

    Args:
        values: float (H, W).
        scale: the contribution with the full colour.

    Returns:
        RGBA, (H, W); see-through where the values are 0.
    """
    share = np.clip(values / scale, -1, 1)[..., None]
    colour = np.where(share > 0, np.array(SUPPORTS), np.array(OPPOSES))
    opacity = 255 * OPACITY * np.abs(share)
    return Image.fromarray(np.concatenate([colour, opacity], axis=2).round().astype(np.uint8))


def bar(width: int, height: int) -> Image.Image:
    """Draw the scale itself from minus to plus, on white."""
    white = Image.new("L", (width, height), 255)
    return coloured(white, np.linspace(-1, 1, width)[None], 1.0)
