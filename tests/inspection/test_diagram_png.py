"""A diagram as PNG shows what its SVG says, on a machine without fonts too."""

from __future__ import annotations

import functools
import io
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
import resvg_py
from PIL import Image, ImageColor, ImageFont

from diagram_parts import SVG, boxes, filled, some_tiles
from headfit.errors import EngineError
from headfit.inspection.diagram.counts import count
from headfit.inspection.diagram.diagram import FONTS, SCALE, as_png
from headfit.inspection.diagram.drawing import draw
from headfit.inspection.diagram.palette import DARK, LIGHT, Palette

PALETTES = pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])


def an_svg(palette: Palette, subject: str = "VGG16 at 224 px") -> str:
    return draw(count((7, 7, 512), 1000), subject, some_tiles(), palette is DARK)


@functools.cache
def pixels(svg: str) -> np.ndarray:
    picture = Image.open(io.BytesIO(as_png(svg)))
    assert picture.format == "PNG"
    return np.asarray(picture.convert("RGB"), int)


def part(found: np.ndarray, left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Cut out the pixels of a rectangle in the picture's units."""
    across, down = (
        slice(round(a * SCALE), round(b * SCALE)) for a, b in ((left, right), (top, bottom))
    )
    return found[down, across]


@PALETTES
def test_places_have_the_colours_of_the_svg(palette: Palette) -> None:
    svg = an_svg(palette)
    root, found = ET.fromstring(svg), pixels(svg)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    assert found.shape == (SCALE * height, SCALE * width, 3)
    paper = ImageColor.getrgb(palette.paper)
    for y, x in [(0, 0), (0, -1), (-1, 0), (-1, -1)]:
        assert tuple(found[y, x]) == paper
    for colour in (palette.flatten, palette.gap):
        square = filled(root, colour)[-1]
        x, y, side = square["x"], square["y"], square["width"]
        inside = part(found, x + 1, y + 1, x + side - 1, y + side - 1)
        assert (inside == ImageColor.getrgb(colour)).all()
        around = part(found, x - 3, y - 3, x - 1, y + side)
        assert (around == ImageColor.getrgb(palette.panel)).all()


@PALETTES
def test_heat_maps_and_photograph_are_there(palette: Palette) -> None:
    svg = an_svg(palette)
    root, found = ET.fromstring(svg), pixels(svg)
    image = next(root.iter(f"{SVG}image")).attrib
    x, y, side = (float(image[name]) for name in ("x", "y", "width"))
    # noise, made smooth by the thumbnail
    assert part(found, x, y, x + side, y + side).std() > 20
    tile = part(found, x + side + 20, y, x + 2 * side + 10, y + side)
    for colour in ("#440154", "#fde725"):
        assert (tile == ImageColor.getrgb(colour)).all(axis=2).any()


@PALETTES
def test_every_line_of_text_is_drawn_in_its_colour(palette: Palette) -> None:
    svg = an_svg(palette)
    root, found = ET.fromstring(svg), pixels(svg)
    fills = [ImageColor.getrgb(e.attrib["fill"]) for e in root.iter(f"{SVG}text")]
    for (left, top, right, bottom, text), fill in zip(boxes(root), fills, strict=True):
        near = np.abs(part(found, left, top, right, bottom) - fill).max(axis=2) < 40
        assert 0.02 < near.mean() < 0.6, text


def test_the_font_comes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    real = resvg_py.svg_to_bytes

    def without_fonts(**given: Any) -> bytes:
        return bytes(real(**given, skip_system_fonts=True))

    svg = draw(count((7, 7, 512), 1000), "VGG16 at 224 px")
    usual = as_png(svg)
    monkeypatch.setattr(resvg_py, "svg_to_bytes", without_fonts)
    assert as_png(svg) == usual


@pytest.mark.parametrize("name", ["regular.ttf", "bold.ttf"])
def test_the_font_has_what_a_diagram_says(name: str) -> None:
    font = ImageFont.truetype(FONTS / name, 20)
    said = set("".join(ET.fromstring(an_svg(LIGHT)).itertext()))
    box = bytes(font.getmask("\u5199"))
    for character in said.union("ÄÖß éñ τ½Ж²…") - {" ", "\n"}:
        assert bytes(font.getmask(character)) != box, character


def test_what_cannot_be_drawn_is_an_error_of_headfit() -> None:
    with pytest.raises(EngineError, match=r"as PNG by resvg .* Write an \.svg file"):
        as_png("<svg")
