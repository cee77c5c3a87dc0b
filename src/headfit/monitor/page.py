"""The live page of a run: written as of now, kept up to date by its script."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files as resources
from typing import Any

from headfit import __version__
from headfit.errors import DataError
from headfit.monitor.words import CANNOT_SHOW, MALFORMED
from headfit.report.templates import environment

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
    except (jinja2.UndefinedError, *MALFORMED) as error:
        raise DataError(CANNOT_SHOW) from error
    return page, policy(style, script)


def policy(style: str, script: str) -> str:
    """Allow the page this style and this script, and requests to its own server."""
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def _rank(score: dict[str, Any]) -> float:
    mean = score["balanced_accuracy"]["mean"]
    return 1.0 if mean is None else -mean


def _text(package: str, name: str) -> str:
    return (resources(package) / name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
