"""What is served of a run: its progress, its live page, and its report."""

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
from headfit.monitor.words import in_words

FAREWELL = 2.0
"""Seconds within which an open page asks at least once."""


@dataclass(frozen=True)
class Answer:
    """The answer to a request.

    Attributes:
        body: what is sent.
        kind: its media type.
        policy: its content security policy; the strictest if None.
    """

    body: bytes
    kind: str
    policy: str | None = None


class Site:
    """The answers to three addresses: the page, ``progress.json`` and ``report.html``.

    Args:
        progress: gives the content of ``progress.json`` as of now.
        folder: the folder of the run, where ``report.html`` will be.
    """

    def __init__(self, progress: Callable[[], dict[str, Any]], folder: Path) -> None:
        self._progress, self._folder = progress, folder
        self._asked = threading.Condition()
        self._last = -FAREWELL

    def answer(self, path: str) -> Answer | None:
        """Answer a request for a path; None if there is nothing.

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
        report = read_report(self._folder)
        # the report brings a policy of its own
        return None if report is None else Answer(report, "text/html", "frame-ancestors 'none'")

    def farewell(self) -> None:
        """Wait until an open page knows that the run has ended, for two seconds at most."""
        with self._asked:
            if time.monotonic() - self._last < FAREWELL:
                self._asked.wait(FAREWELL)

    def _ask(self) -> dict[str, Any]:
        progress = in_words({"silent": 0, **self._progress()})
        now = progress | {"report": has_report(self._folder)}
        with self._asked:
            self._last = time.monotonic()
            if now["state"] != RUNNING:
                self._asked.notify_all()
        return now
