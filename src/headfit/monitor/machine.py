"""Which machine this is, and which processes are alive on it."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

from headfit.util import digests

_BOOT = Path("/proc/sys/kernel/random/boot_id")


@functools.cache
def machine() -> str:
    """Identify this machine since its last start, by a digest that does not reveal its name."""
    boot = _BOOT.read_text("ascii") if _BOOT.is_file() else ""
    return digests.of_data([platform.node(), boot])[:16]


def is_alive(pid: int) -> bool:
    """Say whether a process with this number exists here; numbers are used again."""
    import psutil  # noqa: PLC0415  (not for --help)

    try:
        return bool(psutil.pid_exists(pid))
    except OverflowError:  # larger than any process number
        return False
