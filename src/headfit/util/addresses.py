"""Texts from a file that would lead somewhere else: paths and addresses."""

from __future__ import annotations

import re

_OUTSIDE = re.compile(
    r"[a-z][a-z0-9+.-]*://|~?[/\\]|[a-z]:[/\\]|file:|(.*[/\\])?\.\.([/\\]|$)", re.I | re.S
)


def leads_outside(text: str) -> bool:
    """Whether a text is an address, an absolute path, or one with ``..``."""
    return _OUTSIDE.match(text) is not None
