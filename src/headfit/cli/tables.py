"""Tables of results, and what else commands print on stdout."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

import click
from rich import box
from rich.table import Table
from rich.text import Text

from headfit.util.controls import one_line


def print_json(document: Any) -> None:
    """Print plain data as JSON."""
    click.echo(json.dumps(document, indent=2, allow_nan=False))


def literal(text: str) -> Text:
    """Make text that rich shows as it is: a class called [red] is only a name."""
    return Text(one_line(text))


def plain_table(columns: Sequence[str], numbers: Collection[str] = (), title: str = "") -> Table:
    """Make an empty table whose cells fold where the terminal is narrow.

    Args:
        columns: their names.
        numbers: which of them are flush right.
        title: stands above it.
    """
    table = _table(literal(title) if title else None)
    for name in columns:
        table.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    return table


def standings_table(title: str, columns: Sequence[str]) -> Table:
    """Make an empty table of results: a first column of names, then numbers.

    Args:
        title: stands above it.
        columns: names of two lines each, so that the table fits a terminal of 80 columns.
    """
    table = _table(title, collapse_padding=True)
    for number, name in enumerate(columns):
        first = number == 0
        table.add_column(
            name, justify="left" if first else "right", no_wrap=not first, overflow="fold"
        )
    return table


def _table(title: str | Text | None, *, collapse_padding: bool = False) -> Table:
    return Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        collapse_padding=collapse_padding,
    )
