"""Keep serving until the user has seen enough."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

from headfit.cli.console import tell

STEP = 0.5
"""Seconds of one wait; Windows hears Ctrl-C only between two."""


def until_interrupted() -> None:
    """Say how to stop, and wait for Ctrl-C or a request to terminate; both are an ordinary end.

    A job in the background of a script ignores Ctrl-C, and so does this: it belongs to the program
    in the foreground.
    """
    never = threading.Event()
    with _terminable(), contextlib.suppress(KeyboardInterrupt):
        background = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        key = f"Stop serving with: kill {os.getpid()}" if background else "Press Ctrl-C to stop."
        tell(key)
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
