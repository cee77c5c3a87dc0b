"""A small SVG writer: shapes, escaped text, and an estimate of text width."""

from __future__ import annotations

import unicodedata
from xml.sax.saxutils import quoteattr

from headfit.util import html

FONT = "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif"
LINE_HEIGHT = 1.35  # of the font size


class Canvas:
    """Shapes in the order in which they are drawn; all lengths in the picture's own units."""

    def __init__(self, width: float) -> None:
        self.width = width
        self._parts: list[str] = []

    def shape(self, tag: str, **attributes: str | float) -> None:
        """Add an element; underscores in names of attributes stand for hyphens."""
        self._parts.append(f"<{tag}{_attributes(attributes)}/>")

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float,
        fill: str,
        bold: bool = False,
        anchor: str = "start",
    ) -> None:
        """Add one line of text; y is its base line, ``anchor`` start, middle or end."""
        style = {"font_weight": "600"} if bold else {}
        place = {"text_anchor": anchor} if anchor != "start" else {}
        attributes = _attributes(
            {"x": x, "y": y, "font_size": size, "fill": fill, **style, **place}
        )
        self._parts.append(f"<text{attributes}>{_text(text)}</text>")

    def put(self, other: Canvas) -> None:
        """Add what another canvas holds."""
        self._parts += other._parts

    def paragraph(
        self,
        x: float,
        top: float,
        width: float,
        text: str,
        *,
        size: float,
        fill: str,
        bold: bool = False,
    ) -> float:
        """Add text that is broken into lines, and give the y below it."""
        lines = wrap(text, width, size, bold)
        for number, line in enumerate(lines):
            base = top + size + number * size * LINE_HEIGHT
            self.text(x, base, line, size=size, fill=fill, bold=bold)
        return top + len(lines) * size * LINE_HEIGHT

    def render(self, height: float, title: str, description: str) -> str:
        """Give the SVG.

        Args:
            height: of the picture.
            title: its name, which a screen reader says first.
            description: what can be seen on it.
        """
        root = _attributes(
            {
                "xmlns": "http://www.w3.org/2000/svg",
                "viewBox": f"0 0 {_number(self.width)} {_number(height)}",
                "width": self.width,
                "height": height,
                "role": "img",
                "aria-labelledby": "title desc",
                "xml:lang": "en",
                "font_family": FONT,
            }
        )
        head = [
            f"<svg{root}>",
            f'<title id="title">{_text(title)}</title>',
            f'<desc id="desc">{_text(description)}</desc>',
        ]
        return "\n".join([*head, *self._parts, "</svg>"]) + "\n"


def _text(text: str) -> str:
    return html.escape(" ".join(text.split()), quote=False)


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Estimate how wide a line of text gets at most, in the unit of ``size``.

    The advances are those of DejaVu Sans rounded up, which is wider than most sans-serif fonts.
    """
    return sum(map(_advance, text)) * size * (1.1 if bold else 1.0)


def wrap(text: str, width: float, size: float, bold: bool = False) -> list[str]:
    """Break text into lines that fit; a word that is too long is torn."""
    lines = [""]
    for word in html.printable(text).split():
        rest = word
        if text_width(f"{lines[-1]} {rest}".strip(), size, bold) <= width:
            lines[-1] = f"{lines[-1]} {rest}".strip()
            continue
        if lines[-1]:
            lines.append("")
        while text_width(rest, size, bold) > width and len(rest) > 1:
            fits = next(
                n for n in range(len(rest) - 1, 0, -1)
                if n == 1 or text_width(rest[:n], size, bold) <= width
            )  # fmt: skip
            lines[-1], rest = rest[:fits], rest[fits:]
            lines.append("")
        lines[-1] = rest
    return lines


def _advance(character: str) -> float:
    if unicodedata.combining(character):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return 1.1
    if character in " .,:;'|ijlI":
        return 0.35
    if character in "!()[]-tfr":
        return 0.42
    if character in "mwMW@%…" or not (character.isascii() or character in "×→"):
        return 1.0
    if character.isupper() or character in "#+<=>~&_×→":
        return 0.84
    return 0.64


def _attributes(attributes: dict[str, str | float]) -> str:
    written = {
        name.replace("_", "-"): value if isinstance(value, str) else _number(value)
        for name, value in attributes.items()
    }
    return "".join(f" {name}={quoteattr(value)}" for name, value in written.items())


def _number(value: float) -> str:
    """Six digits: areas are then to scale within 1e-5."""
    return f"{value:.6g}"
