"""The images on which a fast graph has to agree with Keras before it is trusted."""

from __future__ import annotations

import numpy as np

PROBES = 2


def probe_images(height: int, width: int, count: int = PROBES) -> np.ndarray:
    """Make the images on which a graph must agree with Keras.

    Args:
        height: in pixels.
        width: in pixels.
        count: how many; other numbers give other images.

    Returns:
        uint8 array (count, height, width, 3): smooth colour waves with noise, so that both edges
        and flat parts, dark and bright, pass through the network.
    """
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width]).reshape(2, 1, 1)
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1, 3))
    waves = np.sin(2 * np.pi * (3 * y + 2 * x)[None, :, :, None] * [1, 2, 3] + phase)
    noise = rng.normal(0, 0.15, (count, height, width, 3))
    images: np.ndarray = np.clip(127.5 * (1 + 0.8 * waves + noise), 0, 255).astype(np.uint8)
    return images
