"""Putting records side by side, without running anything."""

from __future__ import annotations

import os
from pathlib import Path

from headfit.board.board import Board
from headfit.board.record import FOLDER, read_record
from headfit.board.rows import row_of
from headfit.errors import DataError, UsageError

MAX_RECORDS = 300


def render(folder: str | os.PathLike[str], *, group: bool = False) -> Board:
    """Put the records of a folder side by side, and write the board again.

    Args:
        folder: holds ``records/NAME.json``; ``board.json``, ``board.md``, ``board.html`` and
            ``board.svg`` are written into it.
        group: whether records that cannot stand side by side get a table for each kind; else they
            are refused.

    Returns:
        The board of all records.

    Raises:
        UsageError: there is no such folder.
        DataError: it holds no records, one cannot be read, or they cannot stand side by side.
        WriteError: a file cannot be written.

    Example:

    ```python
    board = hf.board.render("headfit-board")
    ```
    """
    place = Path(folder)
    if not place.is_dir():
        expected = "a folder written by headfit board, or a list FILE.toml"
        raise UsageError.invalid("folder", str(folder), expected)
    paths = sorted((place / FOLDER).glob("*.json"))
    if not paths:
        raise DataError(f"'{place / FOLDER}' holds no records: run a list of comparisons first.")
    if len(paths) > MAX_RECORDS:
        raise DataError(
            f"'{place / FOLDER}' holds {len(paths):,} records, more than the limit of "
            f"{MAX_RECORDS:,}."
        )
    board = Board.of([row_of(read_record(path), path) for path in paths], group=group)
    board.save(place)
    return board
