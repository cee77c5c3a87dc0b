"""Files that change: found by their time, size and number, which costs next to nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

Stamp = tuple[int, int, int] | None


async def changed_files(
    files: Mapping[str, Path], known: Mapping[str, Stamp], seconds: float
) -> AsyncIterator[str]:
    """Watch files, for ever.

    Args:
        files: name → file.
        known: name → what :func:`stamp` gave before the file was read last; kept up to date.
        seconds: between two looks.

    Yields:
        The name of a file that is another than the known one, and the same in two looks.
    """
    before: dict[str, Stamp] = {}
    while True:
        await asyncio.sleep(seconds)
        for name, path in files.items():
            now = stamp(path)
            settled = now is not None and now == before.get(name)
            before[name] = now
            if settled and now != known.get(name):
                yield name


def stamp(path: Path) -> Stamp:
    """Give what changes when a file is replaced or written again; None if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
