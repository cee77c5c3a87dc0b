"""Draw explanations: the image, the heat map over it, and what the colours mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from headfit.errors import UsageError
from headfit.explain.colours import OPPOSES, SUPPORTS, bar, coloured
from headfit.images.targets import CLASS, NUMBER

LARGE, SMALL = 336, 150  # the longer side of a picture, in pixels
GAP, MARGIN = 6, 12
COLUMNS = {2: 3, 3: 2}  # tiles side by side in a sheet, by pictures in a tile
INK, PAPER = (20, 20, 20), (255, 255, 255)
BAR_WIDTH, BAR_HEIGHT = 240, 12


@dataclass(frozen=True)
class Tile:
    """One image and its heat maps, ready to be drawn.

    Attributes:
        image: uint8 (height, width, 3), as the network takes it.
        name: what it is called.
        maps: float (H, W), one or two.
        captions: what stands below each map.
    """

    image: np.ndarray
    name: str
    maps: Sequence[np.ndarray]
    captions: Sequence[str]


LOGITS = "logits added by a position: orange for the class, blue against it"


def meaning(kind: str, name: str) -> str:
    """Say what the colours mean.

    Args:
        kind: of the targets.
        name: of the number that is explained; any for classes and labels.
    """
    if kind == NUMBER:
        return f"added by a position: orange pushes {name} up, blue pushes it down"
    return LOGITS if kind == CLASS else LOGITS.replace("class", "label")


def single(tile: Tile, scale: float, note: str = LOGITS) -> Image.Image:
    """Draw one image large, with the scale and what it means below it."""
    return _page([_drawn(tile, scale, LARGE)], 1, scale, note)


def sheet(tiles: Sequence[Tile], scale: float, note: str = LOGITS) -> Image.Image:
    """Draw images small and side by side, as :func:`single`; at least one."""
    drawn = [_drawn(tile, scale, SMALL) for tile in tiles]
    columns = min(len(drawn), COLUMNS[1 + len(tiles[0].maps)])
    return _page(drawn, columns, scale, note)


def _drawn(tile: Tile, scale: float, side: int) -> Image.Image:
    height, width = tile.image.shape[:2]
    ratio = side / max(height, width)
    size = max(1, round(width * ratio)), max(1, round(height * ratio))
    picture = Image.fromarray(tile.image).resize(size, Image.Resampling.BICUBIC)
    pictures = [picture, *(coloured(picture, values, scale) for values in tile.maps)]
    font = _font(side)
    line = _line(font)
    # a tall image is narrow, its caption is not
    column = max(size[0], side)
    total = len(pictures) * column + (len(pictures) - 1) * GAP
    canvas = Image.new("RGB", (total, size[1] + GAP + 2 * line), PAPER)
    for number, (each, text) in enumerate(zip(pictures, [tile.name, *tile.captions], strict=True)):
        x = number * (column + GAP)
        canvas.paste(each, (x, 0))
        for row, part in enumerate(text.split("\n")[:2]):
            _write(canvas, (x, size[1] + GAP + row * line), part, font, column)
    return canvas


def _page(tiles: Sequence[Image.Image], columns: int, scale: float, note: str) -> Image.Image:
    width, height = (max(side) for side in zip(*(tile.size for tile in tiles), strict=True))
    rows = -(-len(tiles) // columns)
    font = _font(LARGE)
    foot = BAR_HEIGHT + 2 * _line(font) + MARGIN
    full = max(columns * (width + MARGIN) + MARGIN, BAR_WIDTH + 2 * MARGIN)
    page = Image.new("RGB", (full, rows * (height + MARGIN) + MARGIN + foot), PAPER)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        page.paste(tile, (MARGIN + column * (width + MARGIN), MARGIN + row * (height + MARGIN)))
    y = page.height - foot
    page.paste(bar(BAR_WIDTH, BAR_HEIGHT), (MARGIN, y))
    draw = ImageDraw.Draw(page)
    y += BAR_HEIGHT + 2
    for place, text, anchor in (
        (0, f"-{scale:.2g}", "la"),
        (0.5, "0", "ma"),
        (1, f"{scale:+.2g}", "ra"),
    ):
        draw.text((MARGIN + place * BAR_WIDTH, y), text, INK, font, anchor=anchor)
    _write(page, (MARGIN, y + _line(font)), note, font, full - 2 * MARGIN)
    return page


def _font(side: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(14 if side == LARGE else 11)


def _line(font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> int:
    return round(font.getbbox("Äg")[3]) + 3


def _write(
    page: Image.Image,
    at: tuple[int, int],
    text: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    width: int,
) -> None:
    """Write one line, shortened to a width; what cannot be printed is escaped."""
    clean = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if font.getlength(clean) > width:
        while clean and font.getlength(clean + "...") > width:
            clean = clean[:-1]
        clean += "..."
    ImageDraw.Draw(page).text(at, clean, INK, font)


def plot_explanation(
    image: np.ndarray, map: np.ndarray, ax: Any = None, *, unit: str = "logits"
) -> Any:
    """Draw a heat map over its image, with a scale.

    Args:
        image: RGB pixels 0–255, (height, width, 3).
        map: float (H, W), as ``Classifier.explain`` gives it for this image.
        ax: matplotlib axes to draw on; those of a new figure if None.
        unit: of the map: logits, or that of a number.

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
        map, cmap=palette, vmin=-limit, vmax=limit, extent=extent, interpolation="bilinear"
    )
    ax.figure.colorbar(drawn, ax=ax, label=f"{unit} added by a position", shrink=0.8)
    ax.set_axis_off()
    return ax
