"""The page of a run that goes on: written with what is known now, kept up to date by its script."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files as resources
from typing import Any

from headfit import __version__
from headfit.errors import DataError
from headfit.monitor.words import WORDS, amount, duration, headline
from headfit.report.hover import printable
from headfit.report.text.numbers import percent

REFRESH = 5
"""Seconds between two looks of a browser without JavaScript."""
_ODD = (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


def render(progress: dict[str, Any]) -> tuple[str, str]:
    """Make the page.

    Args:
        progress: the content of ``progress.json``, with ``silent`` and ``report``.

    Returns:
        The page as HTML, and the content security policy that it needs.

    Raises:
        DataError: if the progress lacks what the page shows.
    """
    import jinja2  # noqa: PLC0415  (heavy)

    style = _text("headfit.report", "style.css") + _text("headfit.monitor", "live.css")
    script = _text("headfit.monitor", "live.js")
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: printable(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "duration": duration,
    }
    template = environment.from_string(_text("headfit.monitor", "live.html.j2"))
    try:
        page = template.render(
            now=progress,
            headline=headline(progress),
            amount=amount,
            scores=sorted(progress["scores"], key=_rank),
            words=WORDS,
            refresh=REFRESH if progress["state"] == "running" else 0,
            version=__version__,
            style=style,
            script=script,
        )
    except (jinja2.UndefinedError, *_ODD) as error:
        # of a run that another program wrote
        raise DataError("The page cannot show what progress.json holds.") from error
    return page, policy(style, script)


def policy(style: str, script: str) -> str:
    """Say what the page may do: run these two, and ask its own server."""
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
