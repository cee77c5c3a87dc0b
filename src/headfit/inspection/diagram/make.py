"""From what was asked for to a picture, SVG or PNG, and the numbers in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headfit.backbones import catalog
from headfit.backbones.weights import IMAGENET, RANDOM, check_weights
from headfit.errors import UsageError
from headfit.heads.pooling import MapShape
from headfit.inspection.diagram.counts import count
from headfit.inspection.diagram.drawing import compared, draw
from headfit.inspection.diagram.panels import scale_of
from headfit.inspection.diagram.png import as_png
from headfit.inspection.diagram.shape import backbone_map_shape
from headfit.inspection.diagram.tiles import Tiles, photo_tiles
from headfit.util import files

SCHEMA = "headfit.diagram/1"
PNG = ".png"
SUFFIXES = (".svg", PNG)


@dataclass(frozen=True)
class Request:
    """What to draw.

    Attributes:
        backbone: its name; ``catalog.DEFAULT`` if there is neither it nor a map.
        size: side of its input in pixels; its own if None.
        map_shape: (H, W, C), instead of a backbone.
        classes: K.
        image: a photograph whose feature maps are drawn too.
        weights: of the backbone, for the photograph; ImageNet's if None.
        dark: draw for a dark page.
    """

    backbone: str | None = None
    size: int | None = None
    map_shape: MapShape | None = None
    classes: int = 10
    image: Path | None = None
    weights: str | None = None
    dark: bool = False


def make_diagram(request: Request, out: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Draw a diagram into a file, whole or not at all.

    Args:
        request: what to draw.
        out: the file; ends in ``.svg`` or ``.png``.
        tell: called with a line of text when something takes long or falls back.

    Returns:
        The numbers drawn: ``schema``, ``backbone``, ``input_size``, ``map_shape``, ``classes``,
        ``flatten`` and ``gap`` with ``features`` and ``parameters`` each, ``ratio``,
        ``vector_cut``, ``image``, ``sentence``, ``file``.

    Raises:
        UsageError: if the request or ``out`` cannot be meant.
        DataError: if the photograph cannot be read.
        WeightsError, EngineError: if the backbone cannot be built or run, or the PNG drawn.
        WriteError: if the file cannot be written.
    """
    _check_out(out)
    subject, size, tiles = "", None, None
    if request.map_shape is not None:
        _check_alone(request)
        name, shape = None, request.map_shape
    else:
        spec = catalog.find(request.backbone or catalog.DEFAULT)
        contract = spec.contract(request.size)
        name, size = spec.name, contract.width
        subject = f"{name} at {size} px"
        if request.image is not None:
            weights = check_weights(request.weights or IMAGENET, spec)
            if weights == RANDOM:
                tell(f"WARNING: {name} has RANDOM weights: its maps show nothing that was learned.")
            tiles = photo_tiles(request.image, spec, contract, weights, tell)
        elif request.weights is not None:
            raise UsageError(
                f"--weights '{request.weights}' without --image: the shape of a map does not "
                f"depend on weights. Leave it out, or name a photograph with --image."
            )
        shape = tiles.map_shape if tiles else backbone_map_shape(spec, contract, tell)
    counts = count(shape, request.classes)
    svg = draw(counts, subject, tiles, request.dark)
    _write(out, as_png(svg) if out.suffix.lower() == PNG else svg.encode("utf-8"))
    return {
        "schema": SCHEMA,
        "backbone": name,
        "input_size": size,
        **counts.to_dict(),
        "vector_cut": scale_of(counts).cut,
        "image": _image(tiles),
        "sentence": compared(counts),
        "file": str(out),
    }


def _write(out: Path, picture: bytes) -> None:
    def write(path: Path) -> None:
        path.write_bytes(picture)

    files.write_file(out, write)


def _image(tiles: Tiles | None) -> dict[str, Any] | None:
    return tiles.to_dict() if tiles else None


def _check_alone(request: Request) -> None:
    given = {
        "--backbone": request.backbone,
        "--size": request.size,
        "--image": request.image,
        "--weights": request.weights,
    }
    for option, value in given.items():
        if value is not None:
            raise UsageError(
                f"{option} '{value}' together with --map: a map of a given shape comes from no "
                f"backbone. Leave one of the two out."
            )


def _check_out(out: Path) -> None:
    if out.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"--out '{out}' ends in neither .svg nor .png: a diagram is written as SVG or as PNG. "
            f"Name a file of one of the two kinds."
        )
    if out.is_dir():
        raise UsageError(f"--out '{out}' is a folder; expected an .svg or .png file.")
    files.check_writable(out.absolute().parent)
