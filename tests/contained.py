"""Run the real command line on hostile input, in a process of its own that cannot take the machine.

The memory limit protects whoever runs the tests; whether the input was harmless is for the test to
say, from the figures of :class:`Outcome`.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
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
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", LIMITED.format(most=MOST_DATA), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=os.environ | {"COLUMNS": "200", "PYTHONIOENCODING": "utf-8"},
            cwd=cwd,
            start_new_session=True,
        )
        usage = _usage_when_done(process, time.monotonic() + seconds)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
    processor = usage.ru_utime + usage.ru_stime
    return Outcome(process.returncode, *texts, processor, usage.ru_maxrss * MAXRSS_UNIT)


def _usage_when_done(process: subprocess.Popen[bytes], deadline: float) -> resource.struct_rusage:
    """Wait for a process, and say what it and its children used."""
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage
        if time.monotonic() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise AssertionError("The command did not end.")
        time.sleep(0.02)
