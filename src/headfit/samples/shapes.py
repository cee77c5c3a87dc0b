"""Generated images that teach: the class is *where* a disc lies, or *what* pattern it shows.

Every image is a patterned disc on a cloudy ground. Pattern, position, size, colours and contrast
are drawn alike for all classes, except the one property that is the class.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 224
PER_CLASS = {"train": 120, "test": 40}
PATTERNS = ("checks", "dots", "rings", "stripes")
_HALF = SIDE // 2
# name -> left and top of the quadrant, in pixels
QUADRANTS = {
    "bottom-left": (0, _HALF),
    "bottom-right": (_HALF, _HALF),
    "top-left": (0, 0),
    "top-right": (_HALF, 0),
}
CLASSES = {"where": tuple(QUADRANTS), "what": PATTERNS}
_MARGIN = 4.0
_Y, _X = np.mgrid[:SIDE, :SIDE].astype(np.float32)  # row and column of each pixel


@dataclass(frozen=True)
class Disc:
    """What an image shows: a pattern within a circle, in pixels from the top left corner."""

    pattern: str
    x: float
    y: float
    radius: float


def fill(task: str, folder: Path, seed: int) -> None:
    """Write the images of a task into ``folder``.

    Args:
        task: ``"where"`` or ``"what"``.
        folder: an empty folder.
        seed: of everything drawn.
    """
    for split in PER_CLASS:
        for label in CLASSES[task]:
            (folder / split / label).mkdir(parents=True)
    rng = np.random.default_rng([seed, 1])
    for path, disc in plan(task, seed):
        render(disc, rng).save(folder / path, quality=90)


def plan(task: str, seed: int) -> Iterator[tuple[str, Disc]]:
    """Yield path (posix, relative) and disc of every image of a task."""
    rng = np.random.default_rng([seed, 0])
    for split, count in PER_CLASS.items():
        for label in CLASSES[task]:
            for number in range(count):
                yield f"{split}/{label}/{number:04d}.jpg", _draw(task, label, rng)


def _draw(task: str, label: str, rng: np.random.Generator) -> Disc:
    radius = rng.uniform(24, 40)
    pattern = str(rng.choice(PATTERNS))
    if task == "what":
        return Disc(label, *_place(0, 0, SIDE, radius, rng), radius)
    return Disc(pattern, *_place(*QUADRANTS[label], _HALF, radius, rng), radius)


def _place(
    left: int, top: int, side: int, radius: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Return a centre such that the disc lies wholly within a square."""
    low, high = radius + _MARGIN, side - radius - _MARGIN
    return left + rng.uniform(low, high), top + rng.uniform(low, high)


def render(disc: Disc, rng: np.random.Generator) -> Image.Image:
    """Return the image of a disc, 224×224 RGB, with colours and ground drawn from ``rng``."""
    pixels = _mix(_clouds(rng), rng)
    _lay(disc, pixels, rng)
    grain = rng.standard_normal((SIDE, SIDE), np.float32)
    pixels += np.float32(rng.uniform(1, 6)) * grain
    whole = pixels.clip(0, 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(whole.transpose(1, 2, 0)))


def _lay(disc: Disc, pixels: np.ndarray, rng: np.random.Generator) -> None:
    """Draw the disc into the pixels, float32 (3, 224, 224), with a soft edge of one pixel."""
    left, top = int(disc.x - disc.radius), int(disc.y - disc.radius)
    size = int(2 * disc.radius) + 3
    box = np.s_[top : top + size, left : left + size]  # the rest need not be computed
    dx, dy = _X[box] - disc.x, _Y[box] - disc.y
    cover = np.clip(disc.radius - np.hypot(dx, dy), 0, 1)
    figure = _mix(_wave(disc.pattern, dx, dy, rng), rng)
    pixels[:, *box] += cover * (figure - pixels[:, *box])


def _mix(weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Colour a map of −1..1 (h, w) by two colours, the lighter at either end: (3, h, w)."""
    middle = rng.uniform(85, 170, (3, 1, 1)).astype(np.float32)
    contrast = rng.uniform(25, 80, (3, 1, 1)) * rng.choice((-1, 1))
    mixed: np.ndarray = middle + weight * contrast.astype(np.float32)
    return mixed


def _clouds(rng: np.random.Generator) -> np.ndarray:
    """Return smooth noise of −1..1, (224, 224), from broad clouds to streaks of either way."""
    coarse = rng.uniform(-1, 1, rng.integers(3, 20, 2)).astype(np.float32)
    smooth = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(smooth).clip(-1, 1)


def _wave(pattern: str, dx: np.ndarray, dy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a pattern from −1 to 1, turned and shifted at random, at distances in pixels."""
    angle, u0, v0 = rng.uniform(0, 2 * math.pi, 3)
    scale = 2 * math.pi / rng.uniform(10, 18)
    x, y = dx * scale, dy * scale
    u = x * math.cos(angle) + y * math.sin(angle) + u0
    v = y * math.cos(angle) - x * math.sin(angle) + v0
    waves = {
        "checks": np.sin(u) * np.sin(v),
        "dots": np.cos(u) + np.cos(v) - 0.8,
        "rings": np.sin(np.hypot(x, y) + u0),
        "stripes": np.sin(u),
    }
    soft: np.ndarray = np.clip(4 * waves[pattern], -1, 1)
    return soft
