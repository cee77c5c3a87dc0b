"""``--track``: record a finished run with a library for that."""

from __future__ import annotations

from pathlib import Path

from headfit.cli.console import tell
from headfit.errors import HeadfitError
from headfit.tracking.tracker import Tracker


def tracker_for(libraries: str | None) -> Tracker | None:
    """Find the libraries before the run starts; None if there is nothing to record.

    Raises:
        UsageError: one is unknown or not installed.
    """
    return None if libraries is None else Tracker(libraries)


def record(tracker: Tracker | None, out: Path) -> None:
    """Record a run that is finished and saved, and say where; a failure is only told."""
    if tracker is None:
        return
    try:
        for name, place in tracker.log(out, warn=tell).items():
            tell(f"Recorded with {name}: {place}")
    except HeadfitError as error:
        tell(f"The run is not recorded: {error}")
