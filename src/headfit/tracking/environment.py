"""Environment variables of the libraries: ours hold for the call, and never against the user's."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def defaults(**values: str) -> Iterator[None]:
    """Set variables that are not set, and take them back afterwards.

    Example:

    >>> with defaults(HEADFIT_EXAMPLE="1"):
    ...     os.environ["HEADFIT_EXAMPLE"]
    '1'
    >>> "HEADFIT_EXAMPLE" in os.environ
    False
    """
    unset = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(unset)
    try:
        yield
    finally:
        for name in unset:
            os.environ.pop(name, None)
