"""What a page of ours may do: run its own script, and show what it brings along."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files as resources

SCRIPTS = ("page.js", "hover.js")


def script() -> str:
    """Give the script of the report."""
    return "".join((resources("headfit.report") / name).read_text("utf-8") for name in SCRIPTS)


def policy() -> str:
    """Give the content security policy of the report, whoever wrote it."""
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src {source(script())}; base-uri 'none'; form-action 'none'"
    )


def source(text: str) -> str:
    """Name a script or a style by its digest, as a policy does."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
