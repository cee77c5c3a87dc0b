"""CSV files whose names no spreadsheet takes for formulas.

A program that opens a CSV file evaluates cells such as ``=cmd|...``, and a file or a class may be
called that. So such a text gets an apostrophe in front (OWASP, *CSV Injection*), and so does one
that begins with apostrophes before such a character: taking one apostrophe away gives the name
back. Numbers stay as they are.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_GUARDED = re.compile(r"''*[=+\-@\t\r\n]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.I | re.ASCII)


class _Lines(list[str]):
    r"""Takes lines that end with ``\r\n``, for which a writer quotes what holds either."""

    def write(self, line: str) -> None:
        self.append(line.removesuffix("\r\n") + "\n")


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Write rows as CSV, a line feed after each; what is a formula to a spreadsheet is guarded."""
    lines = _Lines()
    writer = csv.writer(lines)
    for row in rows:
        writer.writerow([guard(cell) if isinstance(cell, str) else cell for cell in row])
    return "".join(lines)


def guard(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would evaluate.

    >>> guard("=1+1"), guard("cat"), guard("-0.5")
    ("'=1+1", 'cat', '-0.5')
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def unguard(cell: str) -> str:
    """Give the text that :func:`guard` was called with."""
    return cell[1:] if _GUARDED.match(cell) else cell
