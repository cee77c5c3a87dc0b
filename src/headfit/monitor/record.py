"""Write down how a run goes, so that another process can look on.

Whoever computes only changes a few numbers under a lock; a thread writes the file. A slow disk
slows nothing but the file.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from headfit.errors import HeadfitError, WriteError
from headfit.monitor.machine import machine
from headfit.monitor.progress import DONE, FAILED, NAME, STOPPED, Progress
from headfit.progress import Callback, HeadScore
from headfit.util import files

LEAST = 0.5
"""Seconds between two writes for progress alone."""
HEARTBEAT = 5.0
"""Seconds after which it is written in any case, as a sign of life."""
PAUSES = (0.02, 0.05, 0.1, 0.3)
"""Seconds between the tries of one write: Windows replaces no file that somebody reads just now."""
LAST_PAUSES = (*PAUSES, 0.5, 0.5, 0.5)
"""The same of the last write, which no other makes good."""
FAILURES = 3
"""Writes refused in a row until it is said."""


class Recorder(Callback):
    """Keeps ``progress.json`` in the folder of a run; use as a context around the run.

    The folder is made when the first progress comes, so that a call which is wrong leaves none. A
    file that cannot be written does not stop the run. However the run ends, the file says it:
    ``done``, ``stopped`` (Ctrl-C) or ``failed``; only a process that was killed cannot.

    Args:
        folder: of the run.
        images: name of the images, for people.
        complain: is told, once, if the file cannot be written: at once if that will not pass,
            else after three writes in a row.
    """

    def __init__(
        self, folder: Path, images: str = "", complain: Callable[[str], None] | None = None
    ) -> None:
        self._path = folder / NAME
        self._complain = complain
        self._progress = Progress(images)
        self._lock = threading.Lock()
        self._begun = self._over = False
        self._wake = threading.Condition(self._lock)
        self._changed = self._urgent = False
        self._failed = 0
        self._thread = threading.Thread(target=self._keep, name="headfit-progress", daemon=True)

    def __enter__(self) -> Recorder:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._wake:
            self._over = True
            self._progress.end(*_ending(error))
            self._wake.notify()
        self._thread.join()
        if self._begun and (failure := self._write(LAST_PAUSES)):
            self._say(failure)

    def on_stage_begin(self, name: str, total: float, unit: str = "") -> None:
        """Note that a stage begins."""
        with self._wake:
            self._progress.stage(name, total, unit)
            self._soon()

    def on_progress(self, done: float, detail: str = "", skipped: int = 0) -> None:
        """Note what is done; written within half a second."""
        with self._wake:
            self._progress.advance(done, detail, skipped)
            self._changed = True
            if not self._begun:
                self._begun = True
                self._soon()

    def on_head_end(self, found: HeadScore) -> None:
        """Note the scores of a head."""
        with self._wake:
            self._progress.scored(found)
            self._soon()

    def on_message(self, message: str) -> None:
        """Note what the user was told."""
        with self._wake:
            self._progress.tell(message)
            self._soon()

    def to_dict(self) -> dict[str, Any]:
        """Give the content of ``progress.json`` as of now."""
        with self._lock:
            return self._progress.to_dict() | {"pid": os.getpid(), "machine": machine()}

    def _soon(self) -> None:
        self._urgent = True
        self._wake.notify()

    def _keep(self) -> None:
        """Write until the run is over, in a thread of its own."""
        last = time.monotonic()
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._urgent or self._over, LEAST)
                if self._over:
                    return
                silent = time.monotonic() - last
                due = self._begun and (self._urgent or self._changed or silent >= HEARTBEAT)
                self._changed = self._urgent = False
            if due:
                failure = self._write(PAUSES)
                self._failed = self._failed + 1 if failure else 0
                if failure and (self._failed >= FAILURES or not _may_pass(failure)):
                    self._say(failure)
                elif failure:
                    self._changed = True
                last = time.monotonic()

    def _write(self, pauses: tuple[float, ...]) -> WriteError | None:
        """Try until it is written, or give why it is not."""
        for pause in (*pauses, None):
            try:
                files.write_json(self._path, self.to_dict())
            except WriteError as error:
                if pause is None or not _may_pass(error):
                    return error
                time.sleep(pause)
            else:
                break
        return None

    def _say(self, failure: WriteError) -> None:
        complain, self._complain = self._complain, None
        if complain is not None:
            complain(f"WARNING: the progress of this run is not recorded. {failure}")


def _may_pass(failure: WriteError) -> bool:
    return isinstance(failure.__cause__, PermissionError)


def _ending(error: BaseException | None) -> tuple[str, str]:
    if error is None:
        return DONE, ""
    if isinstance(error, HeadfitError):
        return FAILED, " ".join(str(error).split())
    if isinstance(error, Exception):
        return FAILED, " ".join(f"{type(error).__name__}: {error}".split())
    return STOPPED, ""
