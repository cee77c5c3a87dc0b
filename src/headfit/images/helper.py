"""Processes that decode images whose time no count bounds: they can be ended at any moment.

A thread in a decoder cannot be stopped. So large images and formats that can keep a decoder busy at
will go to a process, which answers within a deadline or is ended, as it is when the run is
interrupted. A process takes one image after the other, for one thread at a time.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Collection
from typing import Any

import numpy as np

from headfit.errors import ImageError
from headfit.images.depth import Depth
from headfit.util.child import importable

LEAST_SECONDS = 3
"""Seconds of processor time that decoding an image may take, and more by its size."""
BYTES_A_SECOND = 50_000_000
"""Bytes of memory that decoding it takes for each second more; decoders take ten times as many."""
BUSY = 5
"""How many times as long it may take in all, on a machine that does other things too."""
_lock = threading.Lock()
_idle: list[_Helper] = []
_busy: dict[int, _Helper] = {}  # thread → its helper
_stopped: set[int] = set()  # threads that shall start nothing more


def decode_apart(data: bytes, height: int, width: int, depth: Depth, memory: int) -> np.ndarray:
    """Decode an image in a helper process, as ``decode`` does in this one.

    Args:
        data: the file's content.
        height: rows to return, in pixels.
        width: columns to return, in pixels.
        depth: black and white in images of more than 8 bits, of the data set.
        memory: bytes that decoding may take.

    Raises:
        ImageError: it cannot be decoded, or takes too long.
    """
    arguments = {"height": height, "width": width, "depth": depth.to_dict()}
    return _ask({"do": "decode", "memory": memory, **arguments}, data)


def ends_apart(data: bytes, memory: int) -> np.ndarray:
    """Find the lowest and the highest grey level in a helper process.

    Returns:
        float64 (2,), or (0,) if the image has 8 bits, or no values.
    """
    return _ask({"do": "ends", "memory": memory}, data)


def check_wanted() -> None:
    """Raise an ``ImageError`` in a thread whose work was stopped."""
    if threading.get_ident() in _stopped:
        raise ImageError("interrupted")


def stop(threads: Collection[int]) -> None:
    """End the helpers that threads wait for; these start no other."""
    with _lock:
        _stopped.update(threads)
        for helper in [_busy[thread] for thread in threads if thread in _busy]:
            helper.kill()


def forget(threads: Collection[int]) -> None:
    """Take back what :func:`stop` said of threads, which have ended: others get their numbers."""
    _stopped.difference_update(threads)


def _ask(request: dict[str, Any], data: bytes) -> np.ndarray:
    thread = threading.get_ident()
    with _lock:
        check_wanted()
        helper = _busy[thread] = _idle.pop() if _idle else _Helper()
    try:
        answer = helper.ask(request, data)
    except BaseException:
        helper.kill()
        raise
    finally:
        with _lock:
            del _busy[thread]
            if helper.is_alive():  # nobody has stopped it since it answered
                _idle.append(helper)
    if "error" in answer:
        raise ImageError(answer["error"])
    array: np.ndarray = answer["array"]
    return array


@atexit.register
def _end_all() -> None:
    for helper in [*_idle, *_busy.values()]:
        helper.kill()


class _Helper:
    def __init__(self) -> None:
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "headfit.images.helper_child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(importable())},
            )
        except OSError as error:
            raise ImageError(f"no process to decode it can be started: {error}") from error

    def ask(self, request: dict[str, Any], data: bytes) -> dict[str, Any]:
        late, done = threading.Event(), threading.Event()

        def end() -> None:
            with _lock:
                if not done.is_set():
                    late.set()
                    self.kill()

        seconds = LEAST_SECONDS + request["memory"] // BYTES_A_SECOND
        timer = threading.Timer(BUSY * seconds, end)
        timer.daemon = True
        timer.start()
        try:
            return self._exchange({**request, "seconds": seconds}, data)
        except (OSError, ValueError) as error:  # its pipes end with it
            check_wanted()
            if late.is_set() or self._process.wait() == -getattr(signal, "SIGXCPU", 0):
                raise ImageError(
                    f"decoding takes over {seconds} s, the limit for its size: damaged or hostile"
                ) from error
            raise ImageError("its decoder crashed: damaged or hostile") from error
        finally:
            done.set()
            timer.cancel()

    def _exchange(self, request: dict[str, Any], data: bytes) -> dict[str, Any]:
        send, receive = self._process.stdin, self._process.stdout
        assert send is not None
        assert receive is not None
        send.write(json.dumps({**request, "bytes": len(data)}).encode() + b"\n")
        send.write(data)
        send.flush()
        answer: dict[str, Any] = json.loads(receive.readline())
        if "shape" in answer:
            array = np.empty(answer["shape"], answer["dtype"])
            if array.nbytes and receive.readinto(array.reshape(-1).view(np.uint8)) < array.nbytes:  # type: ignore[attr-defined]
                raise ValueError("cut off")
            answer["array"] = array
        return answer

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
