"""A process that decodes images for another: requests on standard input, arrays on its output."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from typing import Any

import numpy as np

from headfit.errors import ImageError
from headfit.images.decode import decode_here
from headfit.images.depth import Depth
from headfit.images.ends import ends_of_image
from headfit.util.limits import allocated

_ROOM = 200_000_000  # bytes for threads and what libraries keep


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    # what libraries print must not get between the answers
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        request = json.loads(line)
        data = sys.stdin.buffer.read(request["bytes"])
        _limit(request["memory"] + _ROOM, request["seconds"])
        try:
            array = np.ascontiguousarray(_do(request, data))
            out.write(json.dumps({"shape": array.shape, "dtype": array.dtype.str}).encode() + b"\n")
            out.write(array.data)
        except ImageError as error:
            out.write(json.dumps({"error": str(error)}).encode() + b"\n")
        out.flush()


def _do(request: dict[str, Any], data: bytes) -> np.ndarray:
    if request["do"] == "ends":
        return np.array(ends_of_image(data, apart=False) or (), np.float64)
    depth = Depth.from_dict(request["depth"])
    return decode_here(data, request["height"], request["width"], depth)


def _limit(memory: int, seconds: int) -> None:
    """Let this process take so much more, where the system can hold it to that.

    The user's own hard limits stay: only an administrator may raise them again.
    """
    try:
        import resource  # noqa: PLC0415  (not on Windows)
    except ImportError:
        return

    def hold(kind: int, most: int) -> None:
        hard = resource.getrlimit(kind)[1]
        soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (soft, hard))

    # the system ends it at the soft limit, which is raised for the next image
    hold(resource.RLIMIT_CPU, int(time.process_time()) + 1 + seconds)
    with contextlib.suppress(OSError):  # not on macOS
        hold(resource.RLIMIT_DATA, allocated() + memory)


if __name__ == "__main__":
    _main()
