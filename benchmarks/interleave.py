"""Time contestants in turn, each in a process of its own, so that drift hits all alike.

A contestant is a function ``make(**setting) -> work``: ``make`` prepares, ``work`` does the job
once and gives how many items it did, or that and a dictionary of what else the round found.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
Work = Callable[[], Any]


class UnavailableError(Exception):
    """A contestant cannot take part; says why."""


@dataclass(frozen=True)
class Contestant:
    """One way to do the work.

    Attributes:
        name: how the table calls it.
        function: ``"module:function"`` in this folder.
        setting: keyword arguments of ``make``.
        env: environment variables of its process, such as the Keras backend.
        needs: packages without which it is left out, said aloud.
        warm_up: whether it works once before the clock runs.
    """

    name: str
    function: str
    setting: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    warm_up: bool = True


@dataclass(frozen=True)
class Round:
    """What a contestant did in one round."""

    items: float
    seconds: float
    details: dict[str, Any]

    @property
    def rate(self) -> float:
        """Items per second."""
        return self.items / self.seconds


def race(contestants: list[Contestant], rounds: int) -> dict[str, list[Round]]:
    """Run all contestants in turn.

    Returns:
        The rounds of each contestant that could run.
    """
    running: dict[str, subprocess.Popen[str]] = {}
    done: dict[str, list[Round]] = {}
    try:
        for contestant in contestants:
            process = _start(contestant)
            if process is not None:
                running[contestant.name], done[contestant.name] = process, []
        for number in range(rounds):
            for name, process in running.items():
                print(f"round {number + 1} of {rounds}: {name}", file=sys.stderr)
                done[name].append(_ask(name, process))
    finally:
        for process in running.values():
            process.stdin.close()
            process.wait()
    return done


def package_version(name: str) -> str | None:
    """Give the version of an installed package; None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def serve(function: str, warm_up: bool) -> None:
    """Be a contestant: read the setting from stdin, then work once for each further line."""
    module, _, name = function.partition(":")
    setting = json.loads(sys.stdin.readline())
    try:
        work = getattr(importlib.import_module(module), name)(**setting)
        if warm_up:
            work()
    except UnavailableError as error:
        _say({"left_out": str(error)})
        return
    _say({"ready": True})
    for _ in sys.stdin:
        start = time.perf_counter()
        found = work()
        seconds = time.perf_counter() - start
        items, details = found if isinstance(found, tuple) else (found, {})
        _say({"items": items, "seconds": seconds, "details": details})


def _start(contestant: Contestant) -> subprocess.Popen[str] | None:
    """Start a contestant's process and wait until it is ready; None if it is left out."""
    missing = [name for name in contestant.needs if package_version(name) is None]
    if missing:
        _leave_out(contestant.name, f"not installed: {', '.join(missing)}")
        return None
    print(f"preparing: {contestant.name}", file=sys.stderr)
    code = f"import interleave; interleave.serve({contestant.function!r}, {contestant.warm_up})"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=HERE,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | contestant.env,
    )
    process.stdin.write(json.dumps(contestant.setting) + "\n")
    process.stdin.flush()
    answer = _answer(contestant.name, process)
    if "left_out" in answer:
        process.wait()
        _leave_out(contestant.name, answer["left_out"])
        return None
    return process


def _leave_out(name: str, reason: str) -> None:
    print(f"left out: {name}; {reason}")


def _ask(name: str, process: subprocess.Popen[str]) -> Round:
    process.stdin.write("go\n")
    process.stdin.flush()
    return Round(**_answer(name, process))


def _answer(name: str, process: subprocess.Popen[str]) -> dict[str, Any]:
    for line in process.stdout:
        if line.startswith("answer "):
            return json.loads(line.removeprefix("answer "))
    raise SystemExit(f"Contestant '{name}' died; its message is above.")


def _say(answer: dict[str, Any]) -> None:
    print("answer " + json.dumps(answer), flush=True)
