"""Which machine this is, and which of its processes live."""

from __future__ import annotations

import functools
import os
import platform
from pathlib import Path

from headfit import digests

_BOOT = Path("/proc/sys/kernel/random/boot_id")


@functools.cache
def machine() -> str:
    """Name this machine since it was started, by a digest that tells nobody its name."""
    boot = _BOOT.read_text("ascii") if _BOOT.is_file() else ""
    return digests.of_data([platform.node(), boot])[:16]


def lives(pid: int) -> bool:
    """Say whether a process of this machine lives; a number may have been given away anew."""
    if os.name != "posix":
        return True  # os.kill would end it there; the caller then waits for signs of life
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
