"""Colours that people with any colour vision tell apart (Okabe and Ito 2008; viridis)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Palette:
    """Colours of a diagram, ``#rrggbb``.

    Attributes:
        paper: background of the page.
        panel: background of each of the two heads.
        line: thin lines.
        text: text, and rings around tiny squares.
        soft: secondary text.
        map: one slice of the feature map.
        flatten: Flatten's vector and weights.
        flatten_soft: every other piece of its vector.
        gap: vector and weights of global average pooling.
    """

    paper: str
    panel: str
    line: str
    text: str
    soft: str
    map: str
    flatten: str
    flatten_soft: str
    gap: str


# on a light and on a dark page
_COLOURS = {
    "paper": ("#ffffff", "#14171c"),
    "panel": ("#f5f6f8", "#1f242c"),
    "line": ("#5b6470", "#98a2b0"),
    "text": ("#15181d", "#f2f4f7"),
    "soft": ("#4a525d", "#b9c1cc"),
    "map": ("#dfe5ec", "#39424f"),
    "flatten": ("#d55e00", "#e69f00"),
    "flatten_soft": ("#f3b98c", "#8a5f00"),
    "gap": ("#0072b2", "#56b4e9"),
}
LIGHT, DARK = (Palette(**{name: pair[dark] for name, pair in _COLOURS.items()}) for dark in (0, 1))

_VIRIDIS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))


def heat(value: float) -> str:
    """Give viridis' colour of a value from 0, dark, to 1, bright; its anchors are joined by lines.

    Args:
        value: 0 to 1.
    """
    place = value * (len(_VIRIDIS) - 1)
    lower = min(int(place), len(_VIRIDIS) - 2)
    share = place - lower
    pairs = zip(_VIRIDIS[lower], _VIRIDIS[lower + 1], strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)
