"""Processors and memory of this machine."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import threading
from pathlib import Path
from typing import Any

# as the kernel calls them, and as people do; the more telling first
_FEATURES = {
    "amx_tile": "AMX",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512f": "AVX-512",
    "avx_vnni": "AVX-VNNI",
    "avx2": "AVX2",
    "fma": "FMA",
    "sve2": "SVE2",
    "sve": "SVE",
    "asimddp": "NEON dot product",
    "asimd": "NEON",
}
LOWEST, STEP = 19, 5  # of nice values: the lowest priority, and how much lower than the rest


def usable_cores() -> int:
    """Count the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def hardware() -> dict[str, Any]:
    """Say what numbers and times of a run may depend on, without a name of this machine.

    Returns:
        ``processor`` (its family, such as ``"x86_64"``), ``features`` (the instructions that
        matter, in words; empty if unknown), ``cores`` (those that this process may use) and
        ``system``.
    """
    return {
        "processor": platform.machine(),
        "features": _features(),
        "cores": usable_cores(),
        "system": platform.system(),
    }


def _features() -> list[str]:
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", errors="replace")
    except OSError:  # not Linux
        return []
    lines = (line.partition(":") for line in text.splitlines())
    flags = next((v.split() for k, _, v in lines if k.strip() in ("flags", "Features")), [])
    return [name for flag, name in _FEATURES.items() if flag in flags]


def give_way() -> None:
    """Let other threads of this process go first; on Linux, where each has its own priority.

    Threads that this one starts inherit it. What answers many clients must not wait for what
    computes: with as many threads at work as there are cores, it would wait for whole time slices.
    """
    if sys.platform == "linux":
        lower = min(LOWEST, os.getpriority(os.PRIO_PROCESS, 0) + STEP)
        # forbidden in some containers, and no reason to compute nothing
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), lower)


class Memory:
    """Resident memory of this process and its children.

    Pages that processes share count in each of them.

    Attributes:
        now: bytes at the last measurement; None if unknown.
        peak: the most that was measured, bytes; None if unknown.
    """

    def __init__(self) -> None:
        self.now: int | None = None
        self.peak: int | None = None

    def measure(self) -> None:
        """Measure now; nothing changes where the system gives no answer."""
        import psutil  # noqa: PLC0415  (not for --help)

        # a child may end after it was listed, or belong to another user
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process()
            total = int(process.memory_info().rss)
            with contextlib.suppress(psutil.Error, OSError):
                for child in process.children(recursive=True):
                    with contextlib.suppress(psutil.Error, OSError):
                        total += int(child.memory_info().rss)
            self.now = total
            self.peak = max(total, self.peak or 0)


def in_words(count: float) -> str:
    """Write bytes with three digits: ``"512 B"``, ``"85.4 MB"``, ``"1.24 GB"``."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= 0.9995 * unit:
            value = count / unit
            return f"{value:.3g} {name}" if value < 999.5 else f"{value:,.0f} {name}"
    return f"{count} B"
