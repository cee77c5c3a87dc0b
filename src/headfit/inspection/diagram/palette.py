"""Colours that people with any colour vision tell apart (Okabe and Ito 2008; viridis)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Palette:
    """Colours of a diagram, ``#rrggbb``.

    Attributes:
        paper: what lies behind everything.
        panel: what lies behind each of the two heads.
        line: thin lines.
        text: text, and rings around what is tiny.
        soft: text that matters less.
        map: one slice of the feature map.
        flatten: Flatten's vector and weights.
        flatten_soft: every other piece of its vector.
        gap: those of global average pooling.
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


LIGHT = Palette(
    paper="#ffffff",
    panel="#f5f6f8",
    line="#5b6470",
    text="#15181d",
    soft="#4a525d",
    map="#dfe5ec",
    flatten="#d55e00",
    flatten_soft="#f3b98c",
    gap="#0072b2",
)
DARK = Palette(
    paper="#14171c",
    panel="#1f242c",
    line="#98a2b0",
    text="#f2f4f7",
    soft="#b9c1cc",
    map="#39424f",
    flatten="#e69f00",
    flatten_soft="#8a5f00",
    gap="#56b4e9",
)

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
