"""Feature maps of a photograph: the channels with the highest mean, as small heat maps."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from PIL import Image

from headfit.backbones.catalog import BackboneSpec
from headfit.errors import DataError, EngineError, ImageError, UsageError
from headfit.heads.pooling import MapShape
from headfit.images.contract import Contract
from headfit.images.decode import decode, open_file, read_bytes
from headfit.images.first_look import look
from headfit.inspection.diagram.palette import Palette, heat
from headfit.inspection.diagram.svg import Canvas

CHANNELS = 5
THUMBNAIL = 104  # pixels


@dataclass(frozen=True, eq=False)
class Tiles:
    """A photograph and some channels of its feature map.

    Attributes:
        path: of the photograph.
        pixels: as the backbone saw it, uint8 (S, S, 3).
        weights: of the backbone.
        map_shape: (H, W, C) of the whole feature map.
        channels: which channels are shown, those of highest mean first.
        maps: float32 (channels, H, W).
    """

    path: Path
    pixels: np.ndarray
    weights: str
    map_shape: MapShape
    channels: tuple[int, ...]
    maps: np.ndarray

    @property
    def means(self) -> tuple[float, ...]:
        """The mean of each channel that is shown: what gap makes of it."""
        return tuple(float(tile.mean(dtype=np.float64)) for tile in self.maps)

    def thumbnail(self) -> str:
        """Give the photograph as a data URI, PNG."""
        small = Image.fromarray(self.pixels).resize(
            (THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR
        )
        stream = io.BytesIO()
        small.save(stream, "PNG", optimize=True)
        return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")

    def to_dict(self) -> dict[str, Any]:
        """Give plain data that JSON can hold."""
        shown = zip(self.channels, self.means, strict=True)
        return {
            "path": str(self.path),
            "weights": self.weights,
            "channels": [{"channel": channel, "mean": mean} for channel, mean in shown],
        }


def photo_tiles(
    path: Path, spec: BackboneSpec, contract: Contract, weights: str, tell: Callable[[str], None]
) -> Tiles:
    """Send a photograph through the backbone.

    Args:
        path: of the photograph.
        spec: the backbone.
        contract: its preprocessing.
        weights: ``"imagenet"``, ``"random"`` or a path.
        tell: called with a line of text when something takes long or falls back.

    Raises:
        UsageError: if there is no such file.
        DataError: if it cannot be read as an image.
        WeightsError, EngineError: if the backbone cannot run.
    """
    from headfit.backbones.engines.engine import open_engine  # noqa: PLC0415  (heavy)

    if not path.is_file():
        raise UsageError.invalid("image", str(path), "an existing image file")
    try:
        depth = look([str(path)], lambda _: open_file(path)).depth
        pixels = decode(read_bytes(path), contract.height, contract.width, depth)
    except ImageError as error:
        raise DataError(f"The photograph '{path}' cannot be read: {error}.") from error
    engine = open_engine(spec, contract, weights, tell=tell)
    ((_, maps),) = engine.run([(None, pixels[None])])
    if not np.isfinite(maps).all():
        raise EngineError(
            f"The feature map of '{path}' through {spec.name} with {weights} weights holds NaN or "
            f"infinity; expected finite numbers. Use other `weights`."
        )
    return choose(path, pixels, weights, np.asarray(maps[0], np.float32))


def choose(path: Path, pixels: np.ndarray, weights: str, maps: np.ndarray) -> Tiles:
    """Choose the channels of highest mean, of equal ones the first.

    Args:
        path: of the photograph.
        pixels: uint8 (S, S, 3).
        weights: of the backbone.
        maps: its feature map, float32 (H, W, C).
    """
    means = maps.mean(axis=(0, 1), dtype=np.float64)
    chosen = np.argsort(-means, kind="stable")[:CHANNELS]
    height, width, channels = maps.shape
    return Tiles(
        path,
        pixels,
        weights,
        (height, width, channels),
        tuple(map(int, chosen)),
        np.moveaxis(maps[..., chosen], 2, 0),
    )


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
