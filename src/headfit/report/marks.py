"""Marks of a plot: the text of each, where it lies, and how the page shows it as a tooltip.

Marks are attached to axes, where matplotlib does not look, so a plot in a notebook is unchanged.
Only the page reads them. Browsers show ``<title>`` without any script, and screen readers read it;
with JavaScript, ``hover.js`` shows it at once, also on focus, and links marks to tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headfit.util.html import escape

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ATTRIBUTE = "headfit_marks"


@dataclass(frozen=True)
class Mark:
    """One datum of a plot.

    Attributes:
        text: its name and numbers, as in the results; any characters.
        spots: where it lies, in data coordinates: the value, then the ends of its interval if any.
        head: the candidate that it belongs to; empty if none.
        label: the class that it belongs to; empty if none.
    """

    text: str
    spots: tuple[tuple[float, float], ...]
    head: str = ""
    label: str = ""


@dataclass
class AxesMarks:
    """The marks of some axes, and what else is drawn for a head: (name, artist)."""

    data: list[Mark] = field(default_factory=list)
    drawn: list[tuple[str, Artist]] = field(default_factory=list)


def say(ax: Axes, text: str, *spots: tuple[float, float], head: str = "", label: str = "") -> None:
    """Attach a mark; see :class:`Mark`."""
    _attached(ax).data.append(Mark(text, spots, head, label))


def belongs(ax: Axes, head: str, artists: Iterable[Artist]) -> None:
    """Attach artists to a head, so that they fade when it is filtered out."""
    _attached(ax).drawn.extend((head, artist) for artist in artists)


def marks_of(ax: Axes) -> AxesMarks:
    """Give the marks attached to axes; empty ones if there are none."""
    marks: AxesMarks = getattr(ax, _ATTRIBUTE, None) or AxesMarks()
    return marks


def _attached(ax: Axes) -> AxesMarks:
    marks = marks_of(ax)
    setattr(ax, _ATTRIBUTE, marks)
    return marks


MOST = 200
"""Marks of one plot that have tooltips: the first ones."""
_PAD, _LEAST, _RING = 5.0, 16.0, 6.0  # points; the page shows one as about 1.5 px
_GID = "of-"


def name_artists(marks: AxesMarks) -> None:
    """Give the artists of heads ids that SVG keeps; call it before drawing."""
    for number, (_, artist) in enumerate(marks.drawn):
        artist.set_gid(f"{_GID}{number}")


def with_marks(
    svg: str, key: str, figure: Figure, axes: Axes, marks: AxesMarks, heads: set[str]
) -> str:
    """Lay marks over a drawing.

    Args:
        svg: the drawing; its ids begin with ``key``.
        key: name of the plot within the page.
        figure: the figure that was drawn.
        axes: its axes.
        marks: marks of the axes.
        heads: the candidates that have rows on the page; other marks get no link.
    """
    if not marks.data:
        return svg
    drawn = [head if head in heads else "" for head, _ in marks.drawn]
    svg = re.sub(
        rf'<g id="({key}-{_GID}(\d+))"',
        lambda m: f'<g id="{m[1]}"{_attribute("head", drawn[int(m[2])])}',
        svg,
    )
    # screen readers get the values, not the labels of ticks
    svg = svg.replace(f'<g id="{key}-figure_1"', f'<g aria-hidden="true" id="{key}-figure_1"', 1)
    over = "".join(_element(mark, figure, axes, heads) for mark in marks.data[:MOST])
    body, _, _ = svg.rpartition("</svg>")
    return f'{body}<g class="marks">{over}</g></svg>'


def _element(mark: Mark, figure: Figure, axes: Axes, heads: set[str]) -> str:
    places = axes.transData.transform(mark.spots) * (72 / figure.dpi)
    height = 72 * figure.get_figheight()
    xs, ys = [float(x) for x, _ in places], [height - float(y) for _, y in places]
    left, wide = _span(xs)
    top, high = _span(ys)
    links = _attribute("head", mark.head if mark.head in heads else "")
    links += _attribute("class", mark.label)
    return (
        f'<g class="mark" role="img"{links}><title>{escape(mark.text)}</title>'
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{high:.1f}" rx="4"/>'
        f'<circle cx="{xs[0]:.1f}" cy="{ys[0]:.1f}" r="{_RING:g}"/></g>'
    )


def _span(values: list[float]) -> tuple[float, float]:
    """Give the start and the length of a range that holds all values with a margin."""
    length = max(max(values) - min(values) + 2 * _PAD, _LEAST)
    return (max(values) + min(values) - length) / 2, length


def _attribute(name: str, value: str) -> str:
    return f' data-{name}="{escape(value)}"' if value else ""
