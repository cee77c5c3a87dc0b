"""A diagram as PNG: its SVG, drawn by resvg with a font that comes along."""

from __future__ import annotations

from pathlib import Path

from headfit.errors import EngineError
from headfit.inspection.diagram.svg import FONT

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
