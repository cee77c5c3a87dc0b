"""Where gap and flatten look: small heat maps that the page lays over the images."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.errors import DataError
from headfit.explain.colours import bar, overlay, scale_of
from headfit.images.sources.source import ImageSource
from headfit.report.thumbnails import thumbnails

SIDE = 160
MOST = 10_000  # positions
BAR = (200, 10)
ROWS, COLUMNS = ("upper ", "", "lower "), ("left", "middle", "right")


@dataclass(frozen=True)
class HeadMap:
    """One head on one image.

    Attributes:
        name: of the head.
        uri: the heat map, ``data:image/png``, a pixel for each position.
        strongest: where the map supports the class most, for screen readers.
        predicted: its class for the image.
        p_predicted: probability of that.
        right: whether it is the label.
        logit: of the class that the map explains.
        bias: of that class.
    """

    name: str
    uri: str
    strongest: str
    predicted: str
    p_predicted: float
    right: bool
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
        scale: logits of a position that get the full colour.
        bar: the scale as a picture, ``data:image/png``.
    """

    images: tuple[ComparedImage, ...]
    scale: float
    bar: str


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
    maps = [[_map(one["map"], row["path"]) for one in row["heads"].values()] for row in rows]
    scale = scale_of(values for some in maps for values in some)
    photos = thumbnails(source, [row["path"] for row in rows], SIDE)
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
                    predicted=one["predicted"],
                    p_predicted=one["p_predicted"],
                    right=one["predicted"] == row["label"],
                    logit=one["logit"],
                    bias=one["bias"],
                )
                for (name, one), values in zip(row["heads"].items(), some, strict=True)
            ),
        )
        for row, some in zip(rows, maps, strict=True)
    ]
    return HeatMaps(tuple(images), scale, _uri(bar(*BAR)))


def _map(rows: Any, path: str) -> np.ndarray:
    try:
        values = np.array(rows, float)
    except ValueError:  # rows of several lengths
        values = np.empty(0)
    if values.ndim != 2 or not 1 <= values.size <= MOST or not np.isfinite(values).all():
        raise DataError(
            f"results.json: the heat map of '{path}' must be a table of at most {MOST:,} finite "
            f"numbers. Run compare again."
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
