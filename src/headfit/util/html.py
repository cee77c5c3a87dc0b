"""What objects show of themselves in a notebook: paragraphs and tables, in its own colours.

There is no colour, no script and no style sheet in them: a dark notebook stays readable. Whatever
characters a class or a file has in its name, they are only text.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

_LEFT, _RIGHT = ' style="text-align: left"', ' style="text-align: right"'
_IMPOSSIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]"
)
_LINE = ' style="white-space: nowrap"'


def printable(text: str) -> str:
    """Replace what HTML or SVG cannot hold, or what turns the order of a text, by U+FFFD.

    Those are control characters, bidirectional ones included, and the lone surrogates of a file
    name that is not UTF-8.
    """
    return _IMPOSSIBLE.sub("\ufffd", text)


def escape(text: object, *, quote: bool = True) -> str:
    """Make text safe in a page or a drawing: printable, and without markup.

    Args:
        text: anything that ``str`` makes text.
        quote: whether quotation marks are replaced too, as attributes need it.
    """
    return html.escape(printable(str(text)), quote)


def paragraph(text: object) -> str:
    """Give a paragraph of HTML."""
    return f"<p>{escape(text)}</p>"


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    caption: str = "",
    chosen: int | None = None,
    *,
    numbers: bool = True,
) -> str:
    """Give a table of HTML; the first column names the rows.

    Args:
        columns: headings; none are shown if empty.
        rows: their cells, as text or as what ``str`` makes text.
        caption: what stands above the table.
        chosen: number of the row that is set in bold type, its name after an arrow.
        numbers: whether the other columns are aligned to the right.
    """
    sides = [_LEFT, _RIGHT if numbers else _LEFT]
    body = []
    for number, row in enumerate(rows):
        name, *others = map(escape, row)
        cells = [f"→ {name}" if number == chosen else name, *others]
        if number == chosen:
            cells = [f"<b>{cell}</b>" for cell in cells]
        body.append(_row("td", cells, sides))
    titles = f"<thead>{_row('th', [*map(escape, columns)], sides)}</thead>" if columns else ""
    above = f"<caption{_LINE}>{escape(caption)}</caption>" if caption else ""
    return f"<table>{above}{titles}<tbody>{''.join(body)}</tbody></table>"


def _row(tag: str, cells: Sequence[str], sides: Sequence[str]) -> str:
    placed = (f"<{tag}{sides[min(i, 1)]}>{cell}</{tag}>" for i, cell in enumerate(cells))
    return f"<tr>{''.join(placed)}</tr>"
