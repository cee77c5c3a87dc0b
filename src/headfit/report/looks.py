"""Where the heads look: small heat maps that the page lays over the pictures."""

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
class HeadLook:
    """One head on one image.

    Attributes:
        name: of the head.
        uri: the heat map, ``data:image/png``, a pixel for each position.
        said: what the map shows, for who cannot see it.
        predicted: its class for the image.
        p_predicted: probability of that.
        right: whether it is the label.
        logit: of the class that the map explains.
        bias: of that class.
    """

    name: str
    uri: str
    said: str
    predicted: str
    p_predicted: float
    right: bool
    logit: float
    bias: float


@dataclass(frozen=True)
class Look:
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
    heads: tuple[HeadLook, ...]


@dataclass(frozen=True)
class Looks:
    """All of them, in one colour scale.

    Attributes:
        images: each image.
        scale: logits of a position that get the full colour.
        bar: the scale as a picture, ``data:image/png``.
    """

    images: tuple[Look, ...]
    scale: float
    bar: str


def looks(results: dict[str, Any], source: ImageSource | None) -> Looks | None:
    """Draw where the heads look.

    Args:
        results: as in ``results.json``.
        source: of the images; None if it is not known or gone.

    Returns:
        None if the results hold no explanation.
    """
    found = (results["where"] or {}).get("looks") or []
    if not found:
        return None
    maps = [[_map(one["map"], each["path"]) for one in each["heads"].values()] for each in found]
    scale = scale_of(values for some in maps for values in some)
    photos = thumbnails(source, [each["path"] for each in found], SIDE)
    images = [
        Look(
            each["path"],
            str(each["kind"]),
            each["label"],
            each["class"],
            photos.get(each["path"], ""),
            tuple(
                HeadLook(
                    name,
                    _uri(overlay(values, scale)),
                    strongest(values),
                    one["predicted"],
                    one["p_predicted"],
                    one["predicted"] == each["label"],
                    one["logit"],
                    one["bias"],
                )
                for (name, one), values in zip(each["heads"].items(), some, strict=True)
            ),
        )
        for each, some in zip(found, maps, strict=True)
    ]
    return Looks(tuple(images), scale, _uri(bar(*BAR)))


def _map(rows: Any, path: str) -> np.ndarray:
    try:
        values = np.array(rows, float)
    except ValueError:  # rows of several lengths
        values = np.empty(0)
    if values.ndim != 2 or not 1 <= values.size <= MOST or not np.isfinite(values).all():
        raise DataError(
            f"results.json: a map of '{path}' is no table of numbers, {MOST:,} at most. Run "
            f"compare anew."
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
