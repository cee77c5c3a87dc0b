"""Which machine this is, and which of its processes live."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

from headfit.util import digests

_BOOT = Path("/proc/sys/kernel/random/boot_id")


@functools.cache
def machine() -> str:
    """Name this machine since it was started, by a digest that tells nobody its name."""
    boot = _BOOT.read_text("ascii") if _BOOT.is_file() else ""
    return digests.of_data([platform.node(), boot])[:16]


def lives(pid: int) -> bool:
    """Say whether a process of this machine lives; a number may have been given away anew."""
    import psutil  # noqa: PLC0415  (not for --help)

    try:
        return bool(psutil.pid_exists(pid))
    except OverflowError:  # larger than any number of a process
        return False
