"""What a plot knows of its marks: what each says, where it lies, and which head it belongs to.

Kept on the axes beside what is drawn, where matplotlib does not look: a plot in a notebook is as it
would be without. The page alone reads it, and makes tooltips of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_KEPT = "headfit_marks"


@dataclass(frozen=True)
class Mark:
    """One datum of a plot.

    Attributes:
        text: its name and numbers, as the results have them; any characters.
        spots: where it lies, in data coordinates: the value, then the ends of its interval if any.
        head: the candidate it is of; empty if of none.
        label: the class it is of; empty if of none.
    """

    text: str
    spots: tuple[tuple[float, float], ...]
    head: str = ""
    label: str = ""


@dataclass
class Marks:
    """The marks of axes, and what else is drawn of a head: (name, artist)."""

    data: list[Mark] = field(default_factory=list)
    drawn: list[tuple[str, Artist]] = field(default_factory=list)


def say(ax: Axes, text: str, *spots: tuple[float, float], head: str = "", label: str = "") -> None:
    """Note what a datum says; see :class:`Mark`."""
    _kept(ax).data.append(Mark(text, spots, head, label))


def belongs(ax: Axes, head: str, artists: Iterable[Artist]) -> None:
    """Note that these are drawn of a head, so that they fade where it is filtered out."""
    _kept(ax).drawn.extend((head, artist) for artist in artists)


def marks_of(ax: Axes) -> Marks:
    """Give what was noted of axes; nothing if nothing was."""
    found: Marks = getattr(ax, _KEPT, None) or Marks()
    return found


def _kept(ax: Axes) -> Marks:
    found = marks_of(ax)
    setattr(ax, _KEPT, found)
    return found
