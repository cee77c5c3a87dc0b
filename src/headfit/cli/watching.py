"""Keep serving until the user has seen enough."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

import click

STEP = 0.5
"""Seconds of one wait; Windows hears Ctrl-C only between two."""


def until_interrupted() -> None:
    """Say how to stop, and wait for Ctrl-C or a request to terminate; both are an ordinary end."""
    never = threading.Event()
    with _terminable(), contextlib.suppress(KeyboardInterrupt):
        click.echo("Press Ctrl-C to stop serving.", err=True)
        while True:
            never.wait(STEP)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
