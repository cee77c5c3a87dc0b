"""Read what a run has left in its folder: its progress, and its page."""

from __future__ import annotations

import json
import math
import os
import stat
import time
from pathlib import Path
from typing import Any

from headfit.errors import DataError, UsageError
from headfit.monitor.machine import lives, machine
from headfit.monitor.progress import DONE, NAME, RUNNING, SCHEMA, STATES, STOPPED, Progress

REPORT = "report.html"
SILENCE = 15.0
"""Seconds without a sign of life, three times what a run leaves between two."""
_LARGEST = {NAME: 4 << 20, REPORT: 64 << 20}
_SHAPE: dict[str, type | tuple[type, ...]] = {
    "state": str,
    "error": str,
    "images": str,
    "started": (int, float),
    "updated": (int, float),
    "stages": list,
    "scores": list,
    "messages": list,
}


class RunFolder:
    """The folder of a run that may go on in another process, perhaps on another machine.

    Args:
        path: the folder.

    Raises:
        UsageError: if it is no folder, or holds neither ``progress.json`` nor ``report.html``.
        DataError: if ``progress.json`` cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[float, float] | None = None
        try:
            self._check()
        except OSError as error:
            raise UsageError(
                f"RUN '{path}' cannot be looked at: {error.strerror}; expected the folder that "
                f"headfit compare writes (--out)."
            ) from error
        self.progress()

    def progress(self) -> dict[str, Any]:
        """Give the content of ``progress.json``; a run that is gone without a word is stopped.

        ``silent`` is added: seconds since the last sign of life, 0 as long as that is no wonder.

        Raises:
            DataError: if it cannot be read, or is of another version.
        """
        found = self._read()
        if found["state"] != RUNNING:
            return found | {"silent": 0}
        silent = self._silence(found["updated"])
        here = found.get("machine") == machine()
        alive = here and lives(_pid(found))
        # no one knows the clock of another machine: only what is seen from here counts
        age = time.time() - found["updated"] if here and not alive else silent
        if age < SILENCE:
            return found | {"silent": 0}
        if alive:
            return found | {"silent": round(silent)}
        return found | {"state": STOPPED, "silent": round(max(age, silent))}

    def _check(self) -> None:
        path = self.path
        if not path.is_dir():
            found = "a file" if path.exists() else "not there"
            raise UsageError(
                f"RUN '{path}' is {found}; expected the folder that headfit compare writes (--out)."
            )
        if not has_report(path) and not (path / NAME).exists():
            raise UsageError(
                f"RUN '{path}' holds neither {NAME} nor {REPORT}; expected the folder of a run "
                f"that has begun. Start it with headfit compare --out '{path}'."
            )

    def _read(self) -> dict[str, Any]:
        path = self.path / NAME
        data = _regular(path)
        if data is None:
            if not has_report(self.path):
                raise DataError(f"'{path}' is gone. Run compare anew.")
            return Progress("", state=DONE).to_dict()  # by a version that wrote no progress
        try:
            found = json.loads(data, parse_constant=_refuse, parse_float=_finite, parse_int=_whole)
        except (ValueError, RecursionError) as error:
            raise DataError(f"'{path}' is not JSON: {error}. Run compare anew.") from error
        schema = found.get("schema") if isinstance(found, dict) else None
        if schema != SCHEMA:
            raise DataError(
                f"'{path}' has schema {schema!r}; this version reads {SCHEMA}. "
                f"Use the headfit that wrote it."
            )
        wrong = [key for key, kind in _SHAPE.items() if not isinstance(found.get(key), kind)]
        if wrong or found["state"] not in STATES:
            raise DataError(f"'{path}' has no {wrong[0] if wrong else 'known state'}.")
        good: dict[str, Any] = found
        return good

    def _silence(self, updated: float) -> float:
        now = time.monotonic()
        if self._seen is None or self._seen[0] != updated:
            self._seen = (updated, now)
        return now - self._seen[1]


def read_report(folder: Path) -> bytes | None:
    """Give ``report.html`` of a run, None if it is not there.

    Raises:
        DataError: if it is no regular file, or too large.
    """
    return _regular(folder / REPORT)


def has_report(folder: Path) -> bool:
    """Say whether a run has a page; a link in its place is none."""
    try:
        return stat.S_ISREG((folder / REPORT).lstat().st_mode)
    except OSError:
        return False


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant[:20]} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _refuse(text)
    return number


def _whole(text: str) -> int:
    _finite(text)
    return int(text)


def _pid(found: dict[str, Any]) -> int:
    pid = found.get("pid")
    return pid if isinstance(pid, int) and pid > 0 else 1


def _regular(path: Path) -> bytes | None:
    """Read a regular file, not through a link, not a pipe, and not without end."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror}.") from error
    with open(descriptor, "rb") as stream:  # noqa: PTH123  (a descriptor)
        found = os.fstat(descriptor)
        most = _LARGEST[path.name]
        if not stat.S_ISREG(found.st_mode) or found.st_size > most:
            raise DataError(f"'{path}' is not a regular file of at most {most >> 20} MB.")
        return stream.read(most)
