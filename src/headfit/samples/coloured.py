"""Generated images of several coloured shapes on a noisy ground, drawn without rough edges."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

SIDE = 224
_Y, _X = np.mgrid[:SIDE, :SIDE].astype(np.float32)  # row and column of each pixel


@dataclass(frozen=True)
class Shape:
    """A shape of one colour, in pixels from the top left corner.

    Attributes:
        form: ``"circle"``, ``"square"``, ``"triangle"`` or ``"cross"``.
        x: column of its centre.
        y: row of its centre.
        radius: half its width.
        colour: red, green and blue, 0 to 255.
        angle: by which it is turned.
    """

    form: str
    x: float
    y: float
    radius: float
    colour: tuple[float, float, float]
    angle: float = 0.0


def render(shapes: Sequence[Shape], rng: np.random.Generator) -> Image.Image:
    """Return an image of shapes, 224×224 RGB, with ground and noise drawn from ``rng``."""
    coarse = rng.uniform(60, 190, rng.integers(3, 12, 2)).astype(np.float32)
    ground = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    pixels = np.repeat(np.asarray(ground)[..., None], 3, axis=2)
    for shape in shapes:
        cover = _cover(shape)[..., None]
        pixels = pixels + cover * (np.array(shape.colour, np.float32) - pixels)
    pixels = pixels + rng.uniform(6, 18) * rng.standard_normal(pixels.shape, np.float32)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def colour_of(hue: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Return a colour of a hue from 0 to 1, as bright as ``rng`` says."""
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, rng.uniform(0.65, 1.0))
    return 255 * red, 255 * green, 255 * blue


def _cover(shape: Shape) -> np.ndarray:
    """Return how much of each pixel a shape covers, 0 to 1: its edge is a pixel wide."""
    dx, dy = _X - shape.x, _Y - shape.y
    cos, sin = math.cos(shape.angle), math.sin(shape.angle)
    u, v = np.abs(cos * dx + sin * dy), cos * dy - sin * dx
    r, far, near = shape.radius, np.maximum(u, np.abs(v)), np.minimum(u, np.abs(v))
    depths = {
        "circle": r - np.hypot(dx, dy),
        "square": 0.85 * r - far,
        "triangle": np.minimum(0.6 * r - v, 0.5 * (v + r) - 0.9 * u),
        "cross": np.minimum(r - far, 0.3 * r - near),
    }
    covered: np.ndarray = np.clip(depths[shape.form], 0, 1)
    return covered
