"""Keep the progress of a run in a file, so that another process can follow it.

The run itself only changes a few numbers under a lock; a thread writes the file. A slow disk delays
the file and nothing else.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headfit.errors import HeadfitError, WriteError
from headfit.monitor.folder import machine
from headfit.monitor.progress import DONE, FAILED, NAME, STOPPED, RunProgress
from headfit.progress import Callback, HeadScore
from headfit.util import files

LEAST = 0.5
"""Seconds between two writes for progress alone."""
HEARTBEAT = 5.0
"""Seconds after which the file is written in any case, as a sign of life."""
PAUSES = (0.02, 0.05, 0.1, 0.3)
"""Seconds between attempts at one write: Windows does not replace a file that is being read."""
LAST_PAUSES = (*PAUSES, 0.5, 0.5, 0.5)
"""The same for the last write, after which no other follows."""
FAILURES = 3
"""Failed writes in a row before a warning."""


class Recorder(Callback):
    """Keeps ``progress.json`` in the folder of a run. Use it as a context around the run.

    The folder is made with the first progress, so a wrong call leaves none behind. A file that
    cannot be written does not stop the run. When the run ends, the file says how: ``done``,
    ``stopped`` (Ctrl-C) or ``failed``; only a killed process cannot say so.

    Args:
        folder: the folder of the run.
        images: name of the images, for people.
        warn: called once if the file cannot be written: at once if waiting will not help, else
            after three failed writes in a row.

    Example:

    ```python
    import headfit as hf
    from headfit.monitor import Recorder

    with Recorder("headfit-run", "photos") as recorder:
        study = hf.compare("photos", callbacks=[recorder])
        study.save("headfit-run")
    ```

    ``headfit ui headfit-run`` then shows the run while it goes on.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        images: str = "",
        warn: Callable[[str], object] | None = None,
    ) -> None:
        self._path = Path(folder) / NAME
        self._warn = warn
        self._progress = RunProgress(images)
        self._lock = threading.Lock()
        self._begun = self._over = False
        self._wake = threading.Condition(self._lock)
        self._changed = self._urgent = False
        self._failures = 0
        self._thread = threading.Thread(
            target=self._write_often, name="headfit-record", daemon=True
        )

    def __enter__(self) -> Recorder:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with self._wake:
            self._over = True
            self._progress.end(*_ending(error))
            self._wake.notify()
        self._thread.join()
        if self._begun and (failure := self._write(LAST_PAUSES)):
            self._report(failure)

    def on_stage_begin(self, name: str, total: float, unit: str = "") -> None:
        """Record that a stage begins."""
        with self._wake:
            self._progress.stage(name, total, unit)
            self._soon()

    def on_progress(self, done: float, detail: str = "", skipped: int = 0) -> None:
        """Record how much is done; written within half a second."""
        with self._wake:
            self._progress.advance(done, detail, skipped)
            self._changed = True
            if not self._begun:
                self._begun = True
                self._soon()

    def on_head_end(self, score: HeadScore) -> None:
        """Record the scores of a head."""
        with self._wake:
            self._progress.scored(score)
            self._soon()

    def on_message(self, message: str) -> None:
        """Record a message."""
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

    def _write_often(self) -> None:
        """Write until the run is over, in a separate thread."""
        last = time.monotonic()
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._urgent or self._over, LEAST)
                if self._over:
                    return
                pause = time.monotonic() - last
                due = self._begun and (self._urgent or self._changed or pause >= HEARTBEAT)
                self._changed = self._urgent = False
            if due:
                failure = self._write(PAUSES)
                self._failures = self._failures + 1 if failure else 0
                if failure and (self._failures >= FAILURES or not _is_temporary(failure)):
                    self._report(failure)
                elif failure:
                    self._changed = True
                last = time.monotonic()

    def _write(self, pauses: tuple[float, ...]) -> WriteError | None:
        """Write the file, with several attempts; give the error of the last."""
        for pause in (*pauses, None):
            try:
                files.write_json(self._path, self.to_dict())
            except WriteError as error:
                if pause is None or not _is_temporary(error):
                    return error
                time.sleep(pause)
            else:
                break
        return None

    def _report(self, failure: WriteError) -> None:
        warn, self._warn = self._warn, None
        if warn is not None:
            warn(f"WARNING: the progress of this run is not recorded. {failure}")


def _is_temporary(failure: WriteError) -> bool:
    return isinstance(failure.__cause__, PermissionError)


def _ending(error: BaseException | None) -> tuple[str, str]:
    if error is None:
        return DONE, ""
    if isinstance(error, HeadfitError):
        return FAILED, " ".join(str(error).split())
    if isinstance(error, Exception):
        return FAILED, " ".join(f"{type(error).__name__}: {error}".split())
    return STOPPED, ""
