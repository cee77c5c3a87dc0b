"""What is served of a run: its progress, its report, and the live page that its script updates."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from headfit import __version__
from headfit.errors import DataError
from headfit.monitor.folder import has_report, read_report
from headfit.monitor.progress import DONE, RUNNING
from headfit.monitor.words import CANNOT_SHOW, in_words
from headfit.report import policy as report_policy
from headfit.report.templates import environment
from headfit.util.records import DAMAGE

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
        # anybody may have written it: only our own script runs, and it has no origin
        policy = f"sandbox allow-scripts; frame-ancestors 'none'; {report_policy.policy()}"
        return None if report is None else Answer(report, "text/html", policy)

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


REFRESH = 5
"""Seconds after which a browser without JavaScript loads the page again."""


def render(progress: dict[str, Any]) -> tuple[str, str]:
    """Make the page.

    Args:
        progress: as :func:`headfit.monitor.words.in_words` gives it, with ``report``.

    Returns:
        The page as HTML, and the content security policy that it needs.

    Raises:
        DataError: if the progress lacks a value that the page shows.
    """
    import jinja2  # noqa: PLC0415  (heavy)

    style = _text("headfit.report", "style.css") + _text("headfit.monitor", "live.css")
    script = _text("headfit.monitor", "live.js")
    template = environment().from_string(_text("headfit.monitor", "live.html.j2"))
    try:
        page = template.render(
            now=progress,
            scores=sorted(progress["scores"], key=_rank),
            refresh=REFRESH if progress["state"] == "running" else 0,
            version=__version__,
            style=style,
            script=script,
        )
    except jinja2.UndefinedError as error:
        raise DataError(CANNOT_SHOW) from error
    except DAMAGE as error:
        raise DataError(CANNOT_SHOW) from error
    return page, policy(style, script)


def policy(style: str, script: str) -> str:
    """Allow the page this style and this script, and requests to its own server."""
    return (
        f"default-src 'none'; style-src {report_policy.source(style)}; "
        f"script-src {report_policy.source(script)}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def _rank(score: dict[str, Any]) -> float:
    mean = score["score"]["mean"]
    return math.inf if mean is None else -mean


def _text(package: str, name: str) -> str:
    return (resources(package) / name).read_text("utf-8")
