"""The board: rows that may stand side by side, in one table or in one for each kind."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headfit.board.comparable import FACTS, refusal, split
from headfit.board.markdown import markdown
from headfit.board.page import page, picture_file
from headfit.errors import DataError
from headfit.report.text.across import sentences as across
from headfit.report.text.board import heading
from headfit.util import files

SCHEMA = "headfit.board.table/1"


@dataclass(frozen=True)
class Board:
    """Records side by side: the result of :func:`headfit.board.run` and ``render``.

    Attributes:
        groups: one for all rows, or one for each kind of rows that may stand side by side. Each
            holds what its rows share (``metric``, ``folds``, ``repeats``, ``rope``,
            ``statistics``), its ``heading``, its ``rows``, by falling difference between flatten
            and gap, and a ``summary`` over its data sets or None.
        failed: name and reason of each run that has no record.

    Example:

    ```python
    board = hf.board.run("board.toml")
    print(board)
    board.groups[0]["rows"][0]["difference"]
    ```
    """

    groups: list[dict[str, Any]]
    failed: list[dict[str, str]]

    @classmethod
    def of(
        cls,
        rows: Sequence[Mapping[str, Any]],
        failed: Sequence[Mapping[str, str]] = (),
        *,
        group: bool = False,
    ) -> Board:
        """Put rows side by side.

        Args:
            rows: of :func:`headfit.board.rows.row_of`.
            failed: runs without a record.
            group: whether rows that may not stand side by side get a table for each kind.

        Raises:
            DataError: some may not stand side by side, and ``group`` is False.
        """
        groups = split(rows)
        if not group and (reason := refusal(groups)):
            raise DataError(
                f"These {len(rows)} records cannot stand side by side. They differ in {reason}. "
                f"Set `group` to get a table for each kind."
            )
        return cls([_group(each) for each in groups], [dict(each) for each in failed])

    def to_dict(self) -> dict[str, Any]:
        """Give the content of ``board.json``: plain data."""
        return {"schema": SCHEMA, "groups": self.groups, "failed": self.failed}

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``board.json``, ``board.md``, ``board.html`` and ``board.svg`` into a folder.

        Args:
            folder: holds ``records``, which the tables link to.

        Raises:
            WriteError: a file cannot be written; each file is whole or absent.
        """
        target, board = Path(folder), self.to_dict()
        files.write_json(target / "board.json", board)
        files.write_text(target / "board.svg", picture_file(board))
        files.write_text(target / "board.md", markdown(board))
        files.write_text(target / "board.html", page(board))
        return target

    def __str__(self) -> str:
        lines = [
            f"{row['name']}: Flatten is {row['answer']}; best head {row['best']['head']}"
            for each in self.groups
            for row in each["rows"]
        ]
        lines += [f"{each['name']} failed: {each['reason']}" for each in self.failed]
        return "\n".join(lines)


def _group(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Describe rows that stand side by side: the largest difference first, unknown ones last."""

    def rank(row: Mapping[str, Any]) -> tuple[float, str]:
        difference = row["difference"]
        return (-difference["mean"] if difference else float("inf"), row["name"])

    ordered = sorted(rows, key=rank)
    shared = {name: ordered[0][name] for name in FACTS}
    described = {**shared, "rows": ordered, "summary": _summary(ordered)}
    return {"heading": heading(described), **described}


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Summarise the data sets, with sentences; None if no row has scores."""
    from headfit.study.across import summarise  # noqa: PLC0415  (scipy.stats takes a second)

    found = summarise(rows)
    return found and {**found, "sentences": across(found)}
