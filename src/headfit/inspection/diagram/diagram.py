"""``diagram``: draws Flatten and global average pooling side by side, as SVG or PNG."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headfit.backbones import catalog
from headfit.backbones.weights import IMAGENET, RANDOM, check_weights
from headfit.errors import EngineError, UsageError
from headfit.heads.pooling import MapShape
from headfit.images.contract import Contract
from headfit.inspection.diagram.counts import Counts, count
from headfit.inspection.diagram.drawing import compared, draw
from headfit.inspection.diagram.panels import scale_of
from headfit.inspection.diagram.photo import Tiles, photo_tiles
from headfit.inspection.diagram.shape import backbone_map_shape
from headfit.inspection.diagram.svg import FONT
from headfit.progress import Callback, CallbackList
from headfit.util import files

SCALE = 2  # pixels for each unit of the picture, so that small text is sharp
FONTS = Path(__file__).parent / "fonts"
FAMILY = "Headfit Diagram"


def as_png(svg: str) -> bytes:
    """Draw an SVG document of this package.

    Text is set in a part of DejaVu Sans that comes with headfit, so a machine without fonts draws
    the same picture; characters that it lacks are taken from the machine's own fonts.

    Args:
        svg: the document; :func:`headfit.inspection.diagram.drawing.draw` makes it.

    Returns:
        A PNG file, ``SCALE`` times as many pixels each way as the picture has units.

    Raises:
        EngineError: if it cannot be drawn.
    """
    import resvg_py  # noqa: PLC0415  (needed for PNG alone)

    files = [str(FONTS / name) for name in ("regular.ttf", "bold.ttf")]
    named = svg.replace(f'font-family="{FONT}"', f'font-family="{FAMILY}"', 1)
    try:
        return bytes(resvg_py.svg_to_bytes(svg_string=named, zoom=SCALE, font_files=files))
    except ValueError as error:
        raise EngineError(
            f"The diagram cannot be drawn as PNG by resvg {resvg_py.__resvg_version__}: {error}. "
            f"Write an .svg file instead."
        ) from error


SCHEMA = "headfit.diagram/1"
PNG = ".png"
SUFFIXES = (".svg", PNG)


@dataclass(frozen=True)
class Diagram:
    """A drawing of what Flatten and global average pooling make of one feature map.

    Attributes:
        backbone: its name; None if only a shape was given.
        input_size: side of its input in pixels; None likewise.
        counts: the shape of the map, the number of classes, and both heads in numbers.
        tiles: feature maps of a photograph; None without one.
        svg: the drawing.
        path: the file that it was written to; None if it was not.
    """

    backbone: str | None
    input_size: int | None
    counts: Counts
    tiles: Tiles | None
    svg: str
    path: Path | None = None

    def save(self, path: str | os.PathLike[str]) -> Diagram:
        """Write the drawing to a file, whole or not at all.

        Args:
            path: ends in ``.svg`` or ``.png``.

        Returns:
            The diagram with its ``path``.

        Raises:
            UsageError: the path ends otherwise, or is a folder.
            EngineError: the PNG cannot be drawn.
            WriteError: the file cannot be written.
        """
        out = _checked(path)
        _write(out, as_png(self.svg) if out.suffix.lower() == PNG else self.svg.encode("utf-8"))
        return replace(self, path=out)

    def to_dict(self) -> dict[str, Any]:
        """Give the numbers as plain data, as the command line prints them in JSON."""
        return {
            "schema": SCHEMA,
            "backbone": self.backbone,
            "input_size": self.input_size,
            **self.counts.to_dict(),
            "vector_cut": scale_of(self.counts).cut,
            "image": self.tiles.to_dict() if self.tiles else None,
            "sentence": compared(self.counts),
            "file": None if self.path is None else str(self.path),
        }

    def __str__(self) -> str:
        return compared(self.counts)

    def _repr_svg_(self) -> str:
        return self.svg


def diagram(
    backbone: str | None = None,
    *,
    size: int | None = None,
    map_shape: MapShape | None = None,
    classes: int = 10,
    image: str | os.PathLike[str] | None = None,
    weights: str | None = None,
    dark: bool = False,
    out: str | os.PathLike[str] | None = None,
    callbacks: Callback | Iterable[Callback] | None = None,
) -> Diagram:
    """Draw, to scale, what Flatten and global average pooling make of a feature map.

    Args:
        backbone: its name; ``efficientnet_lite0`` if neither it nor ``map_shape`` is given.
        size: side of its input in pixels; the backbone's own if None.
        map_shape: (H, W, C), instead of a backbone.
        classes: number of classes, 2 to 1,000,000.
        image: a photograph whose feature maps are drawn as well.
        weights: with ``image``: ``"imagenet"`` (the default), ``"random"`` or a weights file.
        dark: draw for a dark page.
        out: file to write, ``.svg`` or ``.png``; None writes none.
        callbacks: one or several that receive messages, such as that the network is built.

    Returns:
        The diagram; a notebook shows it.

    Raises:
        UsageError: an argument is wrong.
        DataError: the photograph cannot be read.
        WeightsError, EngineError: the backbone cannot be built or run, or the PNG drawn.
        WriteError: the file cannot be written.

    Example:

    >>> drawing = diagram(map_shape=(7, 7, 1280), classes=3)
    >>> drawing.counts.flatten.parameters, drawing.counts.gap.parameters
    (188163, 3843)
    """
    tell = CallbackList(callbacks).on_message
    if out is not None:
        _checked(out)
    if map_shape is not None:
        _check_alone(backbone=backbone, size=size, image=image, weights=weights)
        drawn = count(map_shape, classes)
        made = Diagram(None, None, drawn, None, draw(drawn, dark=dark))
    else:
        spec = catalog.find(backbone or catalog.DEFAULT)
        contract = spec.contract(size)
        tiles = _tiles(image, spec, contract, weights, tell)
        shape = tiles.map_shape if tiles else backbone_map_shape(spec, contract, tell)
        drawn = count(shape, classes)
        svg = draw(drawn, f"{spec.name} at {contract.width} px", tiles, dark)
        made = Diagram(spec.name, contract.width, drawn, tiles, svg)
    return made if out is None else made.save(out)


def _tiles(
    image: str | os.PathLike[str] | None,
    spec: catalog.BackboneSpec,
    contract: Contract,
    weights: str | None,
    tell: Callable[[str], None],
) -> Tiles | None:
    """Send the photograph, if there is one, through the backbone."""
    if image is None:
        if weights is not None:
            raise UsageError.invalid(
                "weights",
                weights,
                "given only together with `image`, because the shape of a map does not depend on "
                "weights",
                "Leave it out, or name a photograph with `image`.",
            )
        return None
    checked = check_weights(weights or IMAGENET, spec)
    if checked == RANDOM:
        tell(f"WARNING: {spec.name} has RANDOM weights: its maps show nothing that was learned.")
    return photo_tiles(Path(image), spec, contract, checked, tell)


def _write(out: Path, picture: bytes) -> None:
    def write(path: Path) -> None:
        path.write_bytes(picture)

    files.write_file(out, write)


def _check_alone(**arguments: object) -> None:
    for name, value in arguments.items():
        if value is not None:
            raise UsageError.invalid(
                name,
                value if isinstance(value, str | int) else str(value),
                "left out when `map_shape` is given, because such a map comes from no backbone",
            )


def _checked(path: str | os.PathLike[str]) -> Path:
    out = Path(path)
    if out.suffix.lower() not in SUFFIXES:
        raise UsageError.invalid("out", str(out), "a file that ends in .svg or .png")
    if out.is_dir():
        raise UsageError.invalid("out", str(out), "an .svg or .png file, not a folder")
    files.check_writable(out.absolute().parent)
    return out
