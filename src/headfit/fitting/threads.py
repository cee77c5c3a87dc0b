"""Work on numpy arrays, dealt out to threads."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
from threadpoolctl import ThreadpoolController

from headfit.util.machine import usable_cores


def in_threads(work: Callable[[np.ndarray], None], count: int, together: int) -> None:
    """Call ``work`` with the numbers 0 to ``count`` − 1, some at a time.

    Matrix products then run in one thread each: much of the work between them is numpy's, which
    uses one thread, and two threads with a problem each leave no core waiting.

    Args:
        work: is given int (m,); releases the interpreter as numpy does.
        count: of pieces.
        together: pieces in a call, at most; fewer if that gives every thread the same.
    """
    if not count:
        return
    workers, calls = usable_cores(), -(-count // together)
    if workers < 2 or count < 2:
        for part in np.array_split(np.arange(count), calls):
            work(part)
        return
    calls = -(-calls // workers) * workers
    parts = [part for part in np.array_split(np.arange(count), calls) if len(part)]
    with one_thread(), contextlib.closing(_Pool(min(workers, len(parts)))) as pool:
        for done in [pool.submit(work, part) for part in parts]:
            done.result()


def one_thread() -> contextlib.AbstractContextManager[object]:
    """Let BLAS and LAPACK use one thread meanwhile.

    Where threads meet after every row, as in a decomposition, one that is held up holds up all:
    with other work on the machine two threads were three times as slow as one.
    """
    limit: contextlib.AbstractContextManager[object] = _controller().limit(
        limits=1, user_api="blas"
    )
    return limit


class _Pool(ThreadPoolExecutor):
    """Closed with what has begun and without what has not: Ctrl-C need not wait for all."""

    def close(self) -> None:
        self.shutdown(wait=True, cancel_futures=True)


@cache
def _controller() -> ThreadpoolController:
    """Find the BLAS libraries once: that takes milliseconds."""
    return ThreadpoolController()
