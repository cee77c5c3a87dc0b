"""Run headfit in a process whose heads wait, one by one, until they may have their scores.

``python gates.py GATES ARGUMENTS…``: after head n has its scores, the run goes on when the file
``GATES/n`` is there. All else is the program itself.
"""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path

from headfit.cli import running
from headfit.cli.console import ConsoleCallback
from headfit.cli.main import run
from headfit.progress import HeadScore

gates = Path(sys.argv[1])
numbers = itertools.count(1)


class Gated(ConsoleCallback):
    def on_head_end(self, found: HeadScore) -> None:
        super().on_head_end(found)
        gate = gates / str(next(numbers))
        while not gate.exists():
            time.sleep(0.02)
        if gate.read_text() == "fail":
            raise RuntimeError("the <b>disk</b>\nis on fire")


running.ConsoleCallback = Gated  # type: ignore[misc]
run(sys.argv[2:])
