"""Remove entries of the caches that are outdated or were not used for long."""

from __future__ import annotations

import time
from dataclasses import dataclass

from headfit.util import cache, files


@dataclass(frozen=True)
class Pruned:
    """What :func:`prune` did.

    Attributes:
        removed: entries that are gone, or would be; each with the reason.
        failed: entries that could not be removed.
        left: bytes of all other entries.
    """

    removed: list[tuple[cache.Entry, str]]
    failed: list[cache.Entry]
    left: int


def prune(
    older_than: float | None = None, to: float | None = None, *, dry_run: bool = False
) -> Pruned:
    """Remove outdated entries and those that were not used for long.

    Links are never followed, and nothing outside :func:`headfit.util.cache.home` is removed. A run
    that uses a removed entry at this moment may fail.

    Args:
        older_than: days without use, after which an entry goes; None for no such limit.
        to: bytes that may stay: the least recently used entries go first; None for no limit.
        dry_run: whether to only say what would be removed.
    """
    everything = sorted(cache.entries(), key=lambda entry: entry.last_use)
    left = sum(entry.size for entry in everything)
    now, removed, failed = time.time(), [], []
    # outdated ones first: they are of no use
    for entry in sorted(everything, key=lambda entry: not entry.outdated):
        if entry.outdated:
            reason = "outdated format"
        elif older_than is not None and now - entry.last_use >= older_than * 86400:
            reason = f"not used for {(now - entry.last_use) / 86400:.0f} days"
        elif to is not None and left > to:
            reason = "least recently used"
        else:
            continue
        if not dry_run:
            try:
                files.remove(entry.path)
            except OSError:
                failed.append(entry)
                continue
        removed.append((entry, reason))
        left -= entry.size
    return Pruned(removed, failed, left)
