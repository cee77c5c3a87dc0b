"""Names cut to the cells that a terminal has for them."""

from __future__ import annotations

from rich.cells import cell_len


def shorten(text: str, cells: int, *, ascii_only: bool = False) -> str:
    """Leave out the middle of what is too long: the end of a candidate's name is its head.

    Args:
        text: one line.
        cells: of the terminal; the result takes no more.
        ascii_only: whether the gap is shown by full stops instead of an ellipsis.
    """
    if cell_len(text) <= cells:
        return text
    gap = ".." if ascii_only else "…"
    room = cells - len(gap)
    if room < 2:
        return _first(text, cells)
    tail = _first(text[::-1], room - room // 2)[::-1]
    return f"{_first(text, room // 2)}{gap}{tail}"


def _first(text: str, cells: int) -> str:
    """Give as many characters from the start as fit."""
    taken = 0
    for number, character in enumerate(text):
        taken += cell_len(character)
        if taken > cells:
            return text[:number]
    return text
