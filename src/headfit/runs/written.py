"""Which runs this machine wrote itself: only those may choose the folder of the page's pictures."""

from __future__ import annotations

import contextlib
from typing import Any

from headfit.errors import WriteError
from headfit.util import digests
from headfit.util.cache import RUNS


def note_written(results: dict[str, Any]) -> None:
    """Note that these results were written here; without a cache they count as foreign."""
    with contextlib.suppress(WriteError):
        RUNS.write(digests.of_data(results), {})


def was_written_here(results: dict[str, Any]) -> bool:
    """Say whether these very results were written here, as far as the cache remembers."""
    return RUNS.read(digests.of_data(results)) is not None
