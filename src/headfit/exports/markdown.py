"""Pieces of Markdown, safe whatever the words in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from headfit.util.html import printable

_SPECIAL = re.compile(r"([\\`*\[\]<>|#~]|(?<!\w)_|_(?!\w))")


def plain(words: object) -> str:
    """Make words safe in Markdown: on one line, and without markup."""
    return _SPECIAL.sub(r"\\\1", " ".join(printable(str(words)).split()))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Give a table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def items(sentences: Iterable[str]) -> str:
    """Give a list."""
    return "\n".join(f"- {plain(each)}" for each in sentences)


def verbatim(name: str) -> str:
    """Make a name safe between backticks, in a table too."""
    return " ".join(printable(name).replace("`", "'").replace("|", "\\|").split())
