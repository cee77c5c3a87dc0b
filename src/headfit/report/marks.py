"""The marks of a plot: the text of each, where it lies, and which head it belongs to.

They are attached to the axes, where matplotlib does not look, so a plot in a notebook is unchanged.
Only the page reads them, to make tooltips.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

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
