"""Run the real command line on hostile input, in a process of its own that cannot take the machine.

The memory limit protects whoever runs the tests; whether the input was harmless is for the test to
say, from the figures of :class:`Outcome`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

GB = 2**30
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
MOST_DATA = 6 * GB  # more than an honest command needs, and less than any bomb takes
LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_DATA, ({most}, {most}))
sys.argv[0] = "headfit"
runpy.run_module("headfit", run_name="__main__")
"""
# between this process and the command: a process begins with the peak of the one that starts it
LAUNCH = """
import json, os, subprocess, sys
process = subprocess.Popen(sys.argv[2:])
pid, status, usage = os.wait4(process.pid, 0)
with open(sys.argv[1], "w") as file:
    code = os.waitstatus_to_exitcode(status)
    json.dump([code, usage.ru_utime + usage.ru_stime, usage.ru_maxrss], file)
"""


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes:
        code: its exit code.
        out: what it printed.
        err: what it printed to standard error.
        processor: seconds of processor time, its children included: the same on a busy machine.
        peak: bytes of memory that the largest of its processes held.
    """

    code: int
    out: str
    err: str
    processor: float
    peak: int

    def refused(self, *words: str) -> str:
        """Assert that it ended in a plain error that holds these words; return the error."""
        assert self.code not in (0, -9), self.err
        assert "Traceback" not in self.out + self.err, self.err
        assert all(word in self.err for word in words), self.err
        return self.err


def headfit(*arguments: str | Path, cwd: Path | None = None, seconds: float = 120) -> Outcome:
    """Run ``headfit ARGUMENTS`` under a limit of memory.

    Args:
        arguments: of the command line.
        cwd: its current folder.
        seconds: after which it is killed and the test fails: plenty, for a busy machine.
    """
    limited = [sys.executable, "-P", "-c", LIMITED.format(most=MOST_DATA), *map(str, arguments)]
    with tempfile.NamedTemporaryFile() as usage:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", LAUNCH, usage.name, *limited],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=os.environ | {"COLUMNS": "200", "PYTHONIOENCODING": "utf-8"},
            cwd=cwd,
            start_new_session=True,
        )
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        code, processor, peak = json.load(usage)
    return Outcome(code, out, err, processor, peak * MAXRSS_UNIT)
