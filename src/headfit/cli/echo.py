"""Plain lines on stdout and stderr."""

from __future__ import annotations

import click

from headfit.util.controls import escape_controls


def echo(text: str, *, err: bool = False) -> None:
    """Print lines; controls in them are shown instead of sent to the terminal."""
    click.echo(escape_controls(text), err=err)
