"""Child processes that are forked from one that has imported Keras already.

What a child does and is given stays the same, and it is a process of its own. Only its imports are
spared, 1.2 s of processor time on OpenVINO and 2 s on JAX, some hundreds of times. Children of a
command that a test starts, and those of tests about children, are started as everywhere.
"""

from __future__ import annotations

import collections
import contextlib
import gc
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from types import SimpleNamespace
from typing import IO, Any

from headfit.util import child

IMPORTED = {
    "openvino": (
        *("headfit.backbones.graphs.graph_child", "headfit.model.assemble_child"),
        *("headfit.model.networks_child", "headfit.inspection.describe_child"),
    ),
    "jax": ("headfit.backbones.graphs.graph_child", "headfit.model.networks_child"),
}
MOST = 4  # processes that wait, of 200 MB each
FREE = ("HEADFIT_", "PYTEST_", "PYTHONPATH")  # variables that no import reads


class Forked:
    """A process, with what :class:`headfit.util.child.Job` uses of ``subprocess.Popen``."""

    def __init__(self, parent: socket.socket, stdin: IO[bytes], words: list[str]) -> None:
        self.returncode: int | None = None
        self._said: list[str] = []
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        self._status, end = os.pipe()
        numbers = [stdin.fileno(), self._out.fileno(), self._err.fileno(), end]
        socket.send_fds(parent, ["\0".join(words).encode() + b"\0\n"], numbers)
        os.close(end)
        self.pid = int(self._line())

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a child", timeout or 0)
            self.returncode = int(self._line() or -signal.SIGKILL)
            os.close(self._status)
        return self.returncode

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        self.wait(timeout)
        if not self._said:
            for file in (self._out, self._err):
                file.seek(0)
                self._said.append(file.read().decode("utf-8", "replace"))
                file.close()
        return self._said[0], self._said[1]

    def _line(self) -> bytes:
        line = b""
        while (byte := os.read(self._status, 1)) not in (b"\n", b""):
            line += byte
        return line


class Parents:
    """Processes to fork from, one for each backend and set of variables that came up twice."""

    def __init__(self) -> None:
        self.seen: collections.Counter[Any] = collections.Counter()
        self.started: dict[Any, tuple[subprocess.Popen[bytes], socket.socket]] = {}

    def popen(self, command: list[str], *, stdin: IO[bytes], env: dict[str, str], **rest: Any):
        """Take the place of ``subprocess.Popen`` in :func:`headfit.util.child.start`."""
        key = frozenset((k, v) for k, v in env.items() if not k.startswith(FREE))
        self.seen[key] += 1
        if env["KERAS_BACKEND"] not in IMPORTED or self.seen[key] < 2:
            return subprocess.Popen(command, stdin=stdin, env=env, **rest)
        # the latest last
        self.started[key] = self.started.pop(key, None) or self._start(env)
        self.end(all_but=MOST)
        free = [f"{k}={v}" for k, v in env.items() if k.startswith(FREE)]
        words = [os.getcwd(), command[-1], *free]  # noqa: PTH109
        return Forked(self.started[key][1], stdin, words)

    def end(self, all_but: int = 0) -> None:
        """End the processes that nobody needed for longest."""
        while len(self.started) > all_but:
            process, requests = self.started.pop(next(iter(self.started)))
            requests.close()
            process.wait()

    def _start(self, env: dict[str, str]) -> tuple[subprocess.Popen[bytes], socket.socket]:
        mine, its = socket.socketpair()
        command = [sys.executable, "-P", __file__, str(its.fileno())]
        number = its.fileno()
        process = subprocess.Popen(command, env=env, pass_fds=[number], start_new_session=True)
        its.close()
        return process, mine


PARENTS = Parents()
FORKING = SimpleNamespace(**{**vars(subprocess), "Popen": PARENTS.popen})
"""Takes the place of the module ``subprocess`` in :mod:`headfit.util.child`."""


def _wait_for_requests(requests: socket.socket) -> None:
    """Import, then fork for each request until the test process has ended."""
    child.switch_off_telemetry()
    child.hide_tensorflow()
    for module in IMPORTED[os.environ["KERAS_BACKEND"]]:
        child._imported(module)
    before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    installed = [part for part in sys.path if part not in before]
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    text, numbers = b"", []
    while True:
        piece, received, *_ = socket.recv_fds(requests, 2**20, 4)
        text, numbers = text + piece, numbers + received
        if not piece:
            return
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not text.endswith(b"\0\n"):
            continue
        if not os.fork():
            _keep(text.decode().split("\0")[:-1], numbers, installed)
        for number in numbers:
            os.close(number)
        text, numbers = b"", []


def _keep(words: list[str], numbers: list[int], installed: list[str]) -> None:
    """Fork the child, and say its number and then how it ended."""
    *files, status = numbers
    pid = os.fork()
    if not pid:
        os.close(status)
        _become(words, files, installed)
    os.write(status, b"%d\n" % pid)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.write(status, b"%d\n" % code)
    os._exit(0)


def _become(words: list[str], files: list[int], installed: list[str]) -> None:
    """Be the child that was asked for."""
    folder, function, *variables = words
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for place, number in enumerate(files):
        os.dup2(number, place)
    os.chdir(folder)
    for name in [name for name in os.environ if name.startswith(FREE)]:
        del os.environ[name]
    os.environ.update(variable.split("=", 1) for variable in variables)
    sys.path[:] = [*os.environ["PYTHONPATH"].split(os.pathsep), *installed]
    sys.argv[1:] = [function]
    random.seed()
    code = 1
    try:
        child._main()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _wait_for_requests(socket.socket(fileno=int(sys.argv[1])))
