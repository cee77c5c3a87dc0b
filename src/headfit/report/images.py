"""Images on the page: thumbnails, and heat maps of where gap and flatten look."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from PIL import Image

from headfit.errors import DataError, ImageError, UsageError
from headfit.explain.colours import bar, overlay, scale_of
from headfit.images.decode import decode
from headfit.images.depth import PLAIN, Depth
from headfit.images.sources.source import ImageSource
from headfit.images.targets import CLASS, LABELS, NUMBER, SEPARATOR
from headfit.report.text.numbers import significant
from headfit.report.text.targets import kind_of

SIDE = 96
QUALITY = 70
MOST = 120
"""Thumbnails in a page; each takes about 4 kB and a few milliseconds."""


def thumbnails(
    source: ImageSource | None, paths: Iterable[str], side: int = SIDE, depth: Depth = PLAIN
) -> dict[str, str]:
    """Make data URIs of the first 120 images.

    Args:
        source: source of the images; None if it is unknown or gone.
        paths: paths within the source; those that lead out of it or cannot be read are left out.
        side: side of the thumbnails in pixels.
        depth: black and white in images of more than 8 bits.

    Returns:
        For each path its ``data:image/jpeg;base64,…``.
    """
    if source is None:
        return {}
    wanted = [path for path in dict.fromkeys(paths) if is_inside(path)][:MOST]
    with ThreadPoolExecutor(2) as pool:
        made = pool.map(lambda path: _thumbnail(source, path, side, depth), wanted)
        return {path: uri for path, uri in zip(wanted, made, strict=True) if uri}


def is_inside(path: str) -> bool:
    """Whether a path does not lead out: results may come from anywhere, and name any file."""
    kinds = (PurePosixPath(path), PureWindowsPath(path))
    return not any(kind.anchor or ".." in kind.parts for kind in kinds)


def depth_of(results: dict[str, Any]) -> Depth:
    """Find the depth of a run's images; that of 8 bits if its results have none that is valid."""
    try:
        return Depth.from_dict(results["settings"]["contract"].get("depth", {}))
    except (UsageError, KeyError, AttributeError):
        return PLAIN


def _thumbnail(source: ImageSource, path: str, side: int, depth: Depth) -> str:
    try:
        pixels = decode(source.read_bytes(path), side, side, depth)
    except ImageError:
        return ""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


MAP_SIDE = 160
MOST_POSITIONS = 10_000  # positions
BAR = (200, 10)
ROWS, COLUMNS = ("upper ", "", "lower "), ("left", "middle", "right")


@dataclass(frozen=True)
class HeadMap:
    """One head on one image.

    Attributes:
        name: of the head.
        uri: the heat map, ``data:image/png``, a pixel for each position.
        strongest: where the map supports the class most, for screen readers.
        predicted: its class or labels for the image, or the number that is explained.
        p_predicted: probability of the class; None for labels and numbers.
        right: whether it is the label, or of labels right about the one that is explained; None for
            numbers.
        logit: of the class that the map explains.
        bias: of that class.
    """

    name: str
    uri: str
    strongest: str
    predicted: str
    p_predicted: float | None
    right: bool | None
    logit: float
    bias: float


@dataclass(frozen=True)
class ComparedImage:
    """One image and its heat maps.

    Attributes:
        path: below the image folder.
        kind: which heads are right.
        label: its class.
        target: the class that the maps explain.
        photo: ``data:image/jpeg``; empty if the image is not to be had.
        heads: gap and flatten.
    """

    path: str
    kind: str
    label: str
    target: str
    photo: str
    heads: tuple[HeadMap, ...]


@dataclass(frozen=True)
class HeatMaps:
    """All of them, in one colour scale.

    Attributes:
        images: each image.
        scale: what a position adds that gets the full colour, logits or the number's own units.
        bar: the scale as a picture, ``data:image/png``.
        kind: of the targets.
    """

    images: tuple[ComparedImage, ...]
    scale: float
    bar: str
    kind: str = CLASS


def heat_maps(results: dict[str, Any], source: ImageSource | None) -> HeatMaps | None:
    """Draw the heat maps of gap and flatten on the images that results hold them for.

    Args:
        results: as in ``results.json``.
        source: source of the images; None if it is unknown or gone.

    Returns:
        None if the results hold no heat maps.

    Raises:
        DataError: a map is no table of numbers.
    """
    rows = (results["where"] or {}).get("looks") or []
    if not rows:
        return None
    kind = kind_of(results)
    maps = [[_map(one["map"], row["path"]) for one in row["heads"].values()] for row in rows]
    scale = scale_of(values for some in maps for values in some)
    photos = thumbnails(source, [row["path"] for row in rows], MAP_SIDE, depth_of(results))
    images = [
        ComparedImage(
            path=row["path"],
            kind=str(row["kind"]),
            label=row["label"],
            target=row["class"],
            photo=photos.get(row["path"], ""),
            heads=tuple(
                HeadMap(
                    name=name,
                    uri=_uri(overlay(values, scale)),
                    strongest=strongest(values),
                    predicted=_said(one["predicted"]),
                    p_predicted=one["p_predicted"],
                    right=_is_right(one["predicted"], row, kind),
                    logit=one["logit"],
                    bias=one["bias"],
                )
                for (name, one), values in zip(row["heads"].items(), some, strict=True)
            ),
        )
        for row, some in zip(rows, maps, strict=True)
    ]
    return HeatMaps(tuple(images), scale, _uri(bar(*BAR)), kind)


def _said(predicted: str | float) -> str:
    """Write what a head predicts."""
    if isinstance(predicted, int | float):
        return significant(predicted)
    return str(predicted) or "none of the labels"


def _is_right(predicted: str | float, row: dict[str, Any], kind: str) -> bool | None:
    """Say whether a head is right about what its map explains."""
    if kind == NUMBER:
        return None
    if kind == LABELS:
        said, true = (str(text).split(SEPARATOR) for text in (predicted, row["label"]))
        return (row["class"] in said) == (row["class"] in true)
    return bool(predicted == row["label"])


def _map(rows: Any, path: str) -> np.ndarray:
    try:
        values = np.array(rows, float)
    except ValueError:  # rows of several lengths
        values = np.empty(0)
    if values.ndim != 2 or not 1 <= values.size <= MOST_POSITIONS or not np.isfinite(values).all():
        raise DataError(
            f"results.json: the heat map of '{path}' must be a table of at most {MOST_POSITIONS:,} "
            f"finite numbers. Run compare again."
        )
    return values


def strongest(values: np.ndarray) -> str:
    """Say where a map (H, W) supports its class most: ``"upper left"``, …, ``"nowhere"``."""
    if values.max() <= 0:
        return "nowhere"
    row, column = np.unravel_index(values.argmax(), values.shape)
    height, width = values.shape
    return f"{ROWS[int(3 * (row + 0.5) / height)]}{COLUMNS[int(3 * (column + 0.5) / width)]}"


def _uri(image: Any) -> str:
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
