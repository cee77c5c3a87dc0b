"""Time contestants in turn, each in a process of its own, so that drift hits all alike.

A contestant is a function ``make(**setting) -> callable``: ``make`` prepares and warms up, the
callable does the work once and gives how many items it did.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
PACKAGES = ("headfit", "keras", "jax", "openvino", "tensorflow-cpu", "onnxruntime", "scikit-learn")
PACKAGES += ("numpy", "scipy", "pillow")


@dataclass
class Contestant:
    """One way to do the work.

    Attributes:
        name: how the table calls it.
        function: ``"module:function"`` in this folder.
        setting: keyword arguments of ``make``.
        env: environment variables of its process, such as the Keras backend.
        needs: packages without which it is left out, said aloud.
    """

    name: str
    function: str
    setting: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


def race(contestants: list[Contestant], rounds: int) -> dict[str, list[float]]:
    """Run all contestants in turn.

    Returns:
        Items per second of each round for each contestant that could run.
    """
    running = {c.name: process for c in contestants if (process := _start(c)) is not None}
    rates: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(rounds):
        for name, process in running.items():
            rates[name].append(_ask(process))
    for process in running.values():
        process.stdin.close()
        process.wait()
    return rates


def table(rates: dict[str, list[float]], against: str, unit: str = "items/s") -> str:
    """Write medians, ranges and ratios (median over rounds of the ratio in that round)."""
    lines = [
        f"| contestant | median {unit} | min–max | against {against} |",
        "|---|---:|---:|---:|",
    ]
    for name, values in rates.items():
        ratio = median(a / b for a, b in zip(values, rates[against], strict=True))
        span = f"{min(values):.3g}–{max(values):.3g}"
        lines.append(f"| {name} | {median(values):.3g} | {span} | {ratio:.2f} |")
    return "\n".join(lines)


def machine() -> str:
    """Describe the machine and the versions, one line each."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = found[0].split(":")[1].strip() if found else model
    versions = [f"{name} {found}" for name in PACKAGES if (found := _version(name))]
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
        f"\n{', '.join(versions)}"
    )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _start(contestant: Contestant) -> subprocess.Popen[str] | None:
    missing = [name for name in contestant.needs if _version(name) is None]
    if missing:
        print(f"left out: {contestant.name}; not installed: {', '.join(missing)}", file=sys.stderr)
        return None
    process = subprocess.Popen(
        [sys.executable, str(HERE / "interleave.py"), contestant.function],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=HERE,
        env=os.environ | contestant.env,
    )
    process.stdin.write(json.dumps(contestant.setting) + "\n")
    process.stdin.flush()
    _answer(process)
    return process


def _ask(process: subprocess.Popen[str]) -> float:
    process.stdin.write("go\n")
    process.stdin.flush()
    return float(_answer(process))


def _answer(process: subprocess.Popen[str]) -> str:
    for line in process.stdout:
        if line.startswith("answer "):
            return line.removeprefix("answer ").strip()
    raise SystemExit("A contestant died; its message is above.")


def _contestant(function: str) -> None:
    module, _, name = function.partition(":")
    setting = json.loads(sys.stdin.readline())
    work = getattr(importlib.import_module(module), name)(**setting)
    work()
    print("answer ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        items = work()
        print(f"answer {items / (time.perf_counter() - start)}", flush=True)


if __name__ == "__main__":
    _contestant(sys.argv[1])
