"""What is served of a run: its progress, a page of it, and the report when it is done."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headfit.monitor.folder import has_report, read_report
from headfit.monitor.page import render
from headfit.monitor.progress import DONE, RUNNING

FAREWELL = 2.0
"""Seconds in which a page that looks on asks at least once."""


@dataclass(frozen=True)
class Answer:
    """Body and type of an answer, and what a page may do; None: nothing."""

    body: bytes
    kind: str
    policy: str | None = None


class Site:
    """What is served: the answer to each address.

    Args:
        progress: gives the content of ``progress.json`` as of now.
        folder: of the run, where ``report.html`` will be.
    """

    def __init__(self, progress: Callable[[], dict[str, Any]], folder: Path) -> None:
        self._progress, self._folder = progress, folder
        self._asked = threading.Condition()
        self._last = -FAREWELL

    def answer(self, path: str) -> Answer | None:
        """Give what lies at a path; None if nothing does.

        Raises:
            DataError: if a file of the run cannot be read.
        """
        if path == "/report.html":
            return self._report()
        if path not in ("/", "/progress.json"):
            return None
        now = self._ask()
        if path == "/progress.json":
            return Answer(json.dumps(now, allow_nan=False).encode(), "application/json")
        if now["state"] == DONE and (report := self._report()):
            return report
        page, policy = render(now)
        return Answer(page.encode("utf-8", "backslashreplace"), "text/html", policy)

    def _report(self) -> Answer | None:
        found = read_report(self._folder)
        # the page says itself what it may do
        return None if found is None else Answer(found, "text/html", "frame-ancestors 'none'")

    def farewell(self) -> None:
        """Wait until a page that looks on has heard of the end, for two seconds at most."""
        with self._asked:
            if time.monotonic() - self._last < FAREWELL:
                self._asked.wait(FAREWELL)

    def _ask(self) -> dict[str, Any]:
        now = {"silent": 0, **self._progress(), "report": has_report(self._folder)}
        with self._asked:
            self._last = time.monotonic()
            if now["state"] != RUNNING:
                self._asked.notify_all()
        return now
