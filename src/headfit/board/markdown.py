"""A board as Markdown: a table for each group, with links to the records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from headfit.board.record import FOLDER
from headfit.exports.markdown import items, plain, table
from headfit.report.text.board import cells, columns, explained, failures


def link(name: str) -> str:
    """Give the address of a record, relative to the board."""
    return f"{FOLDER}/{quote(name)}.json"


def markdown(board: Mapping[str, Any]) -> str:
    """Write a board.

    Args:
        board: content of ``board.json``.
    """
    parts = ["# Is Flatten necessary?"]
    if board["groups"]:
        parts.append("![flatten − gap of every run, with its 95 % interval](board.svg)")
    for group in board["groups"]:
        parts += [f"## {plain(group['heading'])}", _table(group)]
        parts += [items(sentences(group))] if sentences(group) else []
    if board["groups"]:
        parts += ["## How to read it", items(explained(board["groups"][0]))]
    if board["failed"]:
        parts += [f"## {failures(board['failed'])}"]
        parts += [items(f"{each['name']}: {each['reason']}" for each in board["failed"])]
    return "\n\n".join(parts) + "\n"


def sentences(group: Mapping[str, Any]) -> list[str]:
    """Give what the statistics over data sets say, a sentence each."""
    return [str(each) for each in (group["summary"] or {}).get("sentences", [])]


def _table(group: Mapping[str, Any]) -> str:
    rows = []
    for row in group["rows"]:
        name, *others = map(plain, cells(row, group))
        rows.append([f"[{name}]({link(row['name'])})", *others])
    return table([plain(each) for each in columns(group)], rows)
