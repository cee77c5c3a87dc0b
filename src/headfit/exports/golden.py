"""Pictures of every kind that a decoder gets wrong in its own way, made in code."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 90, 60
RIGHT_ANGLE = 6  # of EXIF: stored on its side


def golden_images() -> dict[str, bytes]:
    """Give the content of a file of each kind, by its name.

    Returns:
        A JPEG stored on its side (EXIF), a grey one and one in CMYK; a PNG with alpha, one with a
        palette and one of 16 bits; a WebP.
    """
    return {name: make() for name, make in _KINDS.items()}


def _scene() -> np.ndarray:
    """A picture whose colours, sides and details all differ, uint8 (60, 90, 3)."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    red = 255 * x / (WIDTH - 1)
    green = 255 * y / (HEIGHT - 1)
    blue = 127.5 + 127.5 * np.sin(x * 1.7) * np.sin(y * 0.9)  # finer than a small input
    scene = np.stack([red, green, blue], axis=-1)
    scene[5:25, 8:34] = (250, 30, 20)
    scene[35:55, 60:82] = (20, 40, 240)
    return scene.round().astype(np.uint8)


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _on_its_side() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = RIGHT_ANGLE
    return _saved(Image.fromarray(_scene()), "JPEG", quality=92, exif=exif)


def _with_alpha() -> bytes:
    alpha = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
    return _saved(Image.fromarray(np.dstack([_scene(), alpha])), "PNG")


def _sixteen_bits() -> bytes:
    grey = _scene()[..., 0].astype(np.uint16) * 257
    return _saved(Image.fromarray(grey), "PNG")


_KINDS: dict[str, Callable[[], bytes]] = {
    "exif.jpg": _on_its_side,
    "grey.jpg": lambda: _saved(Image.fromarray(_scene()).convert("L"), "JPEG", quality=92),
    "cmyk.jpg": lambda: _saved(Image.fromarray(_scene()).convert("CMYK"), "JPEG", quality=92),
    "alpha.png": _with_alpha,
    "palette.png": lambda: _saved(Image.fromarray(_scene()).quantize(32), "PNG"),
    "16-bit.png": _sixteen_bits,
    "picture.webp": lambda: _saved(Image.fromarray(_scene()), "WEBP", quality=90),
}
