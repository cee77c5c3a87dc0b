"""A server in a process of its own: started, watched, told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psutil
from http_client import Client, LostError, Server

STARTING = 180.0  # seconds: the first start builds a graph


class Sample(NamedTuple):
    """What a server takes at one moment.

    Attributes:
        at: ``time.monotonic()``.
        memory: resident bytes.
        descriptors: open files and connections.
        threads: in all its processes; 0 if unknown.
        seconds: of processor time since it started.
    """

    at: float
    memory: int
    descriptors: int
    threads: int
    seconds: float


@dataclass
class Running:
    """A server that runs, in a process of ours or somewhere else.

    Attributes:
        server: where requests go.
        process: None if it is not ours.
        started: the ``time.monotonic()`` when its process began.
    """

    server: Server
    process: subprocess.Popen[str] | None = None
    started: float = field(default_factory=time.monotonic)

    async def sample(self) -> Sample:
        """See what it takes; ``/metrics`` says so of a server that is not ours."""
        if self.process is None:
            return await self._asked()
        return self.measure()

    def measure(self) -> Sample:
        """See what the processes of our server take."""
        whole = psutil.Process(self.process.pid)
        memory = descriptors = threads = 0
        seconds = 0.0
        for each in (whole, *whole.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess), each.oneshot():
                memory += each.memory_info().rss
                descriptors += each.num_fds()
                threads += each.num_threads()
                times = each.cpu_times()
                seconds += times.user + times.system
        return Sample(time.monotonic(), memory, descriptors, threads, seconds)

    async def first_answer(self, request: bytes) -> float:
        """Ask until the first answer with status 200, and give the seconds since the start."""
        client = Client(self.server)
        while True:
            with contextlib.suppress(LostError):
                if (await client.ask(request)).status == 200:
                    client.close()
                    return time.monotonic() - self.started
            if self.process is not None and self.process.poll() is not None:
                raise SystemExit(f"The server ended with {self.process.returncode}.")
            await asyncio.sleep(0.02)

    def tell(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Ask it to stop, and give its exit code."""
        if self.process.poll() is None:
            self.tell(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    async def _asked(self) -> Sample:
        client = Client(self.server)
        text = (await client.ask(self.server.request("/metrics"))).body.decode()
        client.close()
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("process_"))
        values = {name: float(value) for name, value in lines}
        memory, files = values["process_resident_memory_bytes"], values["process_open_fds"]
        seconds = values["process_cpu_seconds_total"]
        return Sample(time.monotonic(), int(memory), int(files), 0, seconds)


class Watch:
    """Samples of a server, taken as long as a context lasts."""

    def __init__(self, running: Running, every: float = 0.5) -> None:
        self._running, self._every = running, every
        self.samples: list[Sample] = []

    async def __aenter__(self) -> Watch:
        """Begin."""
        self._task = asyncio.create_task(self._go_on())
        return self

    async def __aexit__(self, *_: object) -> None:
        """End."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _go_on(self) -> None:
        while True:
            self.samples.append(await self._running.sample())
            await asyncio.sleep(self._every)


def start_headfit(model: Path, log: Path | None = None) -> Running:
    """Start ``headfit serve`` on a free port, and wait until it answers."""
    command = [sys.executable, "-m", "headfit", "serve", f"model={model}", "--port", "0", "--json"]
    started = time.monotonic()
    process = _start(command, {}, log)
    if line := process.stdout.readline():
        return Running(Server(json.loads(line)["url"]), process, started)
    raise SystemExit(f"The server ended with {process.wait()}: {' '.join(command)}")


def start_plain(model: Path, way: str, port: int) -> Running:
    """Start the route of ``plain_route.py``; ``way`` is ``"threads"`` or ``"loop"``."""
    command = [sys.executable, "-m", "uvicorn", f"plain_route:{way}", "--port", str(port)]
    command.append("--no-access-log")
    env = {"MODEL": str(model), "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    running = Running(Server(f"http://127.0.0.1:{port}"), _start(command, env))
    asyncio.run(asyncio.wait_for(_listens(running), STARTING))
    return running


@contextlib.contextmanager
def headfit(model: Path, log: Path | None = None) -> Iterator[Running]:
    """Have a server as long as a context lasts."""
    running = start_headfit(model, log)
    try:
        yield running
    finally:
        running.end()


def _start(
    command: Sequence[str], env: dict[str, str], log: Path | None = None
) -> subprocess.Popen[str]:
    """Start a command; what it complains of goes to a file, or nowhere."""
    with Path(log or os.devnull).open("a") as errors:
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=Path(__file__).parent,
            env=os.environ | env,
        )


async def _listens(running: Running) -> None:
    client = Client(running.server)
    while True:
        with contextlib.suppress(LostError):
            await client.ask(running.server.request("/docs"))
            client.close()
            return
        if running.process.poll() is not None:
            raise SystemExit(f"The plain route ended with {running.process.returncode}.")
        await asyncio.sleep(0.2)
