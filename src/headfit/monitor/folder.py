"""The folder of a run, read from outside: its progress and its report."""

from __future__ import annotations

import functools
import platform
import stat
import time
from pathlib import Path
from typing import Any

from headfit.errors import DataError, UsageError
from headfit.monitor.progress import DONE, NAME, RUNNING, SCHEMA, STATES, STOPPED, RunProgress
from headfit.util import digests, files, records

REPORT = "report.html"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
SILENCE = 15.0
"""Seconds without a sign of life, three times the longest pause of a run that is well."""
MOST_BYTES = {NAME: 4 << 20, REPORT: 64 << 20}
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
_EXPECTED = "It must be the folder that a comparison writes."


class RunFolder:
    """The folder of a run, which may run in another process, perhaps on another machine.

    Args:
        path: the folder.

    Raises:
        UsageError: if it is not a folder, or has neither ``progress.json`` nor ``report.html``.
        DataError: if ``progress.json`` cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last_update: tuple[float, float] | None = None
        try:
            self._check()
        except OSError as error:
            raise UsageError(
                f"Cannot read `run` '{path}': {error.strerror}. {_EXPECTED}"
            ) from error
        self.progress()

    def progress(self) -> dict[str, Any]:
        """Give the content of ``progress.json``; a run whose process is gone counts as stopped.

        ``silent`` is added: seconds since the last sign of life, 0 while that is nothing unusual.

        Raises:
            DataError: if it cannot be read, or has another schema.
        """
        progress = self._read()
        if progress["state"] != RUNNING:
            return progress | {"silent": 0}
        silence = self._silence(progress["updated"])
        here = progress.get("machine") == machine()
        alive = here and is_alive(_pid(progress))
        # the clock of another machine may be wrong: only what is seen from here counts
        age = time.time() - progress["updated"] if here and not alive else silence
        if age < SILENCE:
            return progress | {"silent": 0}
        if alive:
            return progress | {"silent": round(silence)}
        return progress | {"state": STOPPED, "silent": round(max(age, silence))}

    def _check(self) -> None:
        path = self.path
        if not path.is_dir():
            state = "is a file" if path.exists() else "does not exist"
            raise UsageError(f"`run` '{path}' {state}. {_EXPECTED}")
        if not has_report(path) and not (path / NAME).exists():
            raise UsageError(
                f"`run` '{path}' has neither {NAME} nor {REPORT}. {_EXPECTED} A run writes its "
                f"first file when it has found the images."
            )

    def _read(self) -> dict[str, Any]:
        path = self.path / NAME
        data = _read_regular(path)
        if data is None:
            if not has_report(self.path):
                raise DataError(f"'{path}' is gone. Run compare again.")
            return RunProgress("", state=DONE).to_dict()  # of a version that wrote no progress
        document = records.parse_json(data, path)
        schema = document.get("schema") if isinstance(document, dict) else None
        if schema != SCHEMA:
            raise DataError(
                f"'{path}' has schema {repr(schema)[:40]}, and this version reads {SCHEMA}. Use "
                "the version of headfit that wrote it."
            )
        wrong = records.lacking(document, _SHAPE)
        if not wrong and document["state"] not in STATES:
            wrong = ["state"]
        if wrong:
            raise DataError(f"'{path}' has no valid '{wrong[0]}'. Run compare again.")
        return dict(document)

    def _silence(self, updated: float) -> float:
        now = time.monotonic()
        if self._last_update is None or self._last_update[0] != updated:
            self._last_update = (updated, now)
        return now - self._last_update[1]


@functools.cache
def machine() -> str:
    """Identify this machine since its last start, by a digest that does not reveal its name."""
    boot = _BOOT.read_text("ascii") if _BOOT.is_file() else ""
    return digests.of_data([platform.node(), boot])[:16]


def is_alive(pid: int) -> bool:
    """Say whether a process with this number exists here; numbers are used again."""
    import psutil  # noqa: PLC0415  (not for --help)

    try:
        return bool(psutil.pid_exists(pid))
    except OverflowError:  # larger than any process number
        return False


def read_report(folder: Path) -> bytes | None:
    """Read ``report.html`` of a run; None if it does not exist.

    Raises:
        DataError: if it is not a regular file, or too large.
    """
    return _read_regular(folder / REPORT)


def has_report(folder: Path) -> bool:
    """Say whether a run has a report; a link in its place does not count."""
    try:
        return stat.S_ISREG((folder / REPORT).lstat().st_mode)
    except OSError:
        return False


def _pid(progress: dict[str, Any]) -> int:
    pid = progress.get("pid")
    return pid if isinstance(pid, int) and pid > 0 else 1


def _read_regular(path: Path) -> bytes | None:
    """Read a file of a run, no link; None if it does not exist."""
    try:
        return files.read_regular(path, MOST_BYTES[path.name], follow_links=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"Cannot read '{path}': {error.strerror}.") from error
