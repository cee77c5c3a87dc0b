"""Running a declared list: what has no record yet, one record a run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from headfit.board.board import Board
from headfit.board.comparable import refusal
from headfit.board.declaration import read_declaration
from headfit.board.inputs import Prepared, check, find
from headfit.board.record import (
    FOLDER,
    read_record,
    record_of,
    why_again,
    write_record,
)
from headfit.board.rows import row_of
from headfit.errors import DataError, HeadfitError, UsageError
from headfit.fitting.kinds import KINDS
from headfit.progress import Callback, CallbackList, HeadScore
from headfit.report.text.board import outcome, time_left
from headfit.runs.compare import compare
from headfit.study.version import STATISTICS
from headfit.util import files
from headfit.util.nouns import counted

STAGES = 7.0  # of a comparison, about
TOLD = ("WARNING", "Estimated time")
"""What a comparison says that a list of them should say too."""


def run(
    declared: str | os.PathLike[str],
    out: str | os.PathLike[str] = "headfit-board",
    *,
    group: bool = False,
    callbacks: Callback | Iterable[Callback] | None = None,
) -> Board:
    """Run a declared list of comparisons, and put their records side by side.

    What has a record is not run again, unless its declaration, its images or the version of the
    statistics differ. A run that fails is listed, and the others go on. Stop at any time: records
    of finished runs stay, and the same call goes on from there.

    Args:
        declared: a TOML file: a table ``[[run]]`` for each run, with ``source`` and arguments of
            :func:`headfit.compare`, and ``[defaults]`` for all.
        out: folder for ``records/NAME.json``, ``board.json``, ``board.md``, ``board.html`` and
            ``board.svg``.
        group: whether records that cannot stand side by side get a table for each kind; else they
            are refused.
        callbacks: follow the runs, as in :func:`headfit.compare`.

    Returns:
        The board of the runs of the list.

    Raises:
        UsageError: a key or value of the list cannot be meant, a source does not exist, or the
            runs cannot stand side by side; before anything runs.
        DataError: the list is not TOML, or the records cannot stand side by side.
        WriteError: a file cannot be written.

    Example:

    ```python
    board = hf.board.run("board.toml", "board")
    print(board)
    ```
    """
    folder, callback = Path(out), CallbackList(callbacks)
    files.check_writable(folder)
    prepared = find([check(each) for each in read_declaration(Path(declared))], callback)
    if not group:
        _check_comparable(prepared)
    failed = _run_all(prepared, folder / FOLDER, callback)
    names = {each["name"] for each in failed}
    paths = [_path(folder / FOLDER, each) for each in prepared if each.run.name not in names]
    board = Board.of([row_of(read_record(path), path) for path in paths], failed, group=group)
    board.save(folder)
    return board


def _check_comparable(prepared: Sequence[Prepared]) -> None:
    """Refuse a list whose runs cannot stand side by side, as far as that is known now."""
    groups: dict[Any, list[dict[str, Any]]] = {}
    for each in prepared:
        if each.kind:
            options = each.options
            facts = {
                "metric": KINDS[each.kind].primary,
                **{"folds": options.max_folds, "repeats": options.rounds, "rope": options.rope},
                "statistics": STATISTICS,
            }
            row = {"name": each.run.name, **facts}
            groups.setdefault(tuple(facts.values()), []).append(row)
    if reason := refusal(list(groups.values())):
        raise UsageError(
            f"These {counted(len(prepared), 'run')} cannot stand side by side. They differ in "
            f"{reason}. Set `group` to get a table for each kind."
        )


def _path(folder: Path, each: Prepared) -> Path:
    return folder / f"{each.run.name}.json"


def _run_all(
    prepared: Sequence[Prepared], folder: Path, callback: Callback
) -> list[dict[str, str]]:
    """Make the records that are missing; give name and reason of each run that failed."""
    missing = [each for each in prepared if _is_missing(each, folder, callback)]
    if kept := len(prepared) - len(missing):
        callback.on_message(f"{counted(kept, 'run has', 'runs have')} a record already.")
    failed, start = [], time.monotonic()
    for number, each in enumerate(missing):
        left = time_left(time.monotonic() - start, number, len(missing))
        title = f"Run {number + 1} of {len(missing)}{left}: {each.run.name}"
        callback.on_stage_begin(title, STAGES)
        if reason := _run(each, folder, callback):
            failed.append({"name": each.run.name, "reason": reason})
            callback.on_message(f"{each.run.name} failed: {reason}")
    return failed


def _is_missing(each: Prepared, folder: Path, callback: Callback) -> bool:
    path = _path(folder, each)
    if not os.path.lexists(path):
        return True
    try:
        record = read_record(path)
        row_of(record, path)
        reason = why_again(record, each)
    except DataError as error:
        reason = str(error)
    if reason:
        callback.on_message(f"{each.run.name} is run again: {reason}")
    return bool(reason)


def _run(each: Prepared, folder: Path, callback: Callback) -> str:
    """Make one record; say why if that fails."""
    if each.fault:
        return each.fault
    try:
        study = compare(
            each.images, callbacks=_OneStage(each.run.name, callback), **vars(each.options)
        )
        record = record_of(each, study)
    except HeadfitError as error:
        return str(error)
    except Exception as error:  # whatever it is, the other runs go on
        return " ".join(f"{type(error).__name__}: {error}".split())
    write_record(_path(folder, each), record)
    callback.on_message(f"{each.run.name}: {outcome(record)}")
    return ""


class _OneStage(Callback):
    """Shows a comparison as one stage; its own stages are the details."""

    def __init__(self, name: str, callback: Callback) -> None:
        self._name, self._callback = name, callback
        self._stages, self._stage, self._total = 0, "", 0.0

    def on_stage_begin(self, name: str, total: float, unit: str = "") -> None:
        self._stages, self._stage, self._total = self._stages + 1, name, total
        self.on_progress(0)

    def on_progress(self, done: float, detail: str = "", skipped: int = 0) -> None:
        part = done / self._total if self._total else 0.0
        so_far = min(self._stages - 1 + part, STAGES)
        self._callback.on_progress(so_far, self._stage, skipped)

    def on_head_end(self, score: HeadScore) -> None:
        self._callback.on_head_end(score)

    def on_message(self, message: str) -> None:
        if message.startswith(TOLD):
            self._callback.on_message(f"{self._name}: {message}")
