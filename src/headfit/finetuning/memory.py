"""Memory that a process keeps between two steps of training."""

from __future__ import annotations

import ctypes
import platform

# of glibc's mallopt: arenas, maps, what is given back, what is asked for beyond need
_ARENA_MAX, _MMAP_MAX, _TRIM_THRESHOLD, _TOP_PAD = -8, -4, -1, -2
_SETTINGS = {_ARENA_MAX: 1, _MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 2**26}


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, until it ends.

    JAX allocates the intermediate results of each step again, hundreds of megabytes, and glibc
    returns them to the system after each. To map and to clear them again takes a quarter of the
    time of a step. Call this in a process that does nothing but train, before its first step.

    Returns:
        Whether it is possible here: on Linux with glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    results = [library.mallopt(*setting) for setting in _SETTINGS.items()]
    return results == [1] * len(_SETTINGS)
