"""Feature maps of a photograph, as small heat maps beside it."""

from __future__ import annotations

from itertools import groupby
from pathlib import PurePath

import numpy as np

from headfit.inspection.diagram.palette import Palette, heat
from headfit.inspection.diagram.svg import Canvas
from headfit.inspection.diagram.tiles import THUMBNAIL, Tiles

SPACE = 15.2
LEVELS = 32
LONGEST_NAME = 60


def draw_photo(
    canvas: Canvas, colours: Palette, tiles: Tiles, x: float, top: float, width: float
) -> float:
    """Draw the photograph and the channels, and give the y below them."""
    caption = (
        f"{shortened(tiles.path.name)} and {len(tiles.channels)} of its {tiles.map_shape[2]:,} "
        f"channels, those of highest mean, with {weights_name(tiles.weights)} weights. Each runs "
        f"from dark, its lowest value, to bright, its highest. gap keeps the mean."
    )
    y = canvas.paragraph(x, top, width, caption, size=14, fill=colours.soft) + 8
    href = tiles.thumbnail()
    canvas.shape("image", x=x, y=y, width=THUMBNAIL, height=THUMBNAIL, href=href)
    canvas.text(x, y + THUMBNAIL + 16, "as the network", size=12, fill=colours.soft)
    canvas.text(x, y + THUMBNAIL + 32, "sees it", size=12, fill=colours.soft)
    shown = zip(tiles.channels, tiles.means, tiles.maps, strict=True)
    for number, (channel, mean, values) in enumerate(shown, start=1):
        left = x + number * (THUMBNAIL + SPACE)
        draw_tile(canvas, values, left, y)
        canvas.text(left, y + THUMBNAIL + 16, f"channel {channel:,}", size=12, fill=colours.soft)
        canvas.text(left, y + THUMBNAIL + 32, f"mean {mean:.3g}", size=12, fill=colours.text)
    return y + THUMBNAIL + 42


def draw_tile(canvas: Canvas, values: np.ndarray, left: float, top: float) -> None:
    """Draw one channel as a heat map.

    Args:
        canvas: to draw on.
        values: float32 (H, W).
        left: edge.
        top: edge.
    """
    height, width = values.shape
    high = max(height, width)
    # squares even where the map is oblong
    cell = THUMBNAIL / high
    runs: dict[int, list[str]] = {}
    for row, levels in enumerate(_levels(values)):
        start = 0
        for level, group in groupby(levels.tolist()):
            length = len(list(group))
            at = f"M{left + start * cell:.6g} {top + row * cell:.6g}"
            runs.setdefault(level, []).append(
                f"{at}h{length * cell:.6g}v{cell:.6g}h-{length * cell:.6g}z"
            )
            start += length
    for level in sorted(runs):
        canvas.shape(
            "path",
            d="".join(runs[level]),
            fill=heat(level / (LEVELS - 1)),
            shape_rendering="crispEdges",
        )


def shortened(name: str) -> str:
    """Leave out the middle of a long name."""
    if len(name) <= LONGEST_NAME:
        return name
    half = LONGEST_NAME // 2
    return f"{name[:half]}…{name[1 - half :]}"


def weights_name(weights: str) -> str:
    """Name the weights; a file by its own name, without its folder."""
    return shortened(PurePath(weights).name)


def _levels(values: np.ndarray) -> np.ndarray:
    wide = values.astype(np.float64)
    low, high = wide.min(), wide.max()
    if high == low:
        return np.zeros(values.shape, int)
    levels: np.ndarray = np.rint((wide - low) / (high - low) * (LEVELS - 1)).astype(int)
    return levels
