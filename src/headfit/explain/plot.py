"""A heat map as a figure of matplotlib."""

from __future__ import annotations

from typing import Any

import numpy as np

from headfit.errors import UsageError
from headfit.explain.colours import OPPOSES, SUPPORTS


def plot_explanation(image: np.ndarray, map: np.ndarray, ax: Any = None) -> Any:
    """Draw a heat map over its image, with a scale in logits.

    Args:
        image: RGB pixels 0–255, (height, width, 3).
        map: float (H, W), as ``Classifier.explain`` gives it for this image.
        ax: matplotlib axes to draw on; those of a new figure if None.

    Returns:
        The axes.

    Raises:
        UsageError: if an array has another shape.

    Example:

    ```python
    maps = classifier.explain(pixels)
    hf.plot_explanation(pixels[0], maps[0])
    ```
    """
    if image.ndim != 3 or image.shape[2] != 3 or map.ndim != 2:
        raise UsageError(
            "`image` and `map` must be (height, width, 3) and (H, W), one image at a time. "
            f"Received: shapes {image.shape} and {map.shape}."
        )
    import matplotlib.pyplot as plt  # noqa: PLC0415  (heavy)
    from matplotlib.colors import LinearSegmentedColormap  # noqa: PLC0415

    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    ends = [tuple(value / 255 for value in colour) for colour in (OPPOSES, SUPPORTS)]
    # opaque at the ends, nothing at 0
    colours = [(*ends[0], 0.85), (*ends[0], 0.0), (*ends[1], 0.0), (*ends[1], 0.85)]
    palette = LinearSegmentedColormap.from_list(
        "headfit", list(zip((0.0, 0.5, 0.5, 1.0), colours, strict=True))
    )
    height, width = image.shape[:2]
    extent = (0, width, height, 0)
    grey = np.asarray(image, np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    limit = float(np.abs(map).max()) or 1.0
    ax.imshow(grey, cmap="gray", vmin=0, vmax=255, extent=extent)
    drawn = ax.imshow(
        map,
        cmap=palette,
        vmin=-limit,
        vmax=limit,
        extent=extent,
        interpolation="bilinear",
    )
    ax.figure.colorbar(drawn, ax=ax, label="logits added by a position", shrink=0.8)
    ax.set_axis_off()
    return ax
