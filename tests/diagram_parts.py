"""What the tests of diagrams as SVG and as PNG look for."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

from headfit.inspection.diagram.photo import Tiles, choose
from headfit.inspection.diagram.svg import text_width

SVG = "{http://www.w3.org/2000/svg}"


def some_tiles(name: str = "cat.jpg", shape: tuple[int, int, int] = (7, 7, 512)) -> Tiles:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (64, 64, 3), np.uint8)
    return choose(Path(name), pixels, "imagenet", rng.normal(size=shape).astype(np.float32))


def boxes(root: ET.Element) -> list[tuple[float, float, float, float, str]]:
    """Left, top, right and bottom of every line of text, from the heights of common fonts."""
    found = []
    for element in root.iter(f"{SVG}text"):
        size, y = float(element.attrib["font-size"]), float(element.attrib["y"])
        width = text_width(element.text or "", size, "font-weight" in element.attrib)
        share = {"start": 0.0, "middle": 0.5, "end": 1.0}[element.get("text-anchor", "start")]
        left = float(element.attrib["x"]) - share * width
        found.append((left, y - 0.78 * size, left + width, y + 0.24 * size, element.text or ""))
    return found


def filled(root: ET.Element, colour: str) -> list[dict[str, float]]:
    """Position and size of the rectangles of a colour, without the stripes above the panels."""
    rects = [r.attrib for r in root.iter(f"{SVG}rect") if r.get("fill") == colour]
    names = ("x", "y", "width", "height")
    return [{n: float(r[n]) for n in names} for r in rects if r["height"] != "4"]
