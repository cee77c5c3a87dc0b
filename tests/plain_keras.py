"""Keras as a user has it, in a process in which nothing of headfit is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# a network runs there once: optimising the program takes longer than it saves
QUICKLY = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "true"}


def run_plain(code: str, folder: Path, *arguments: str) -> None:
    """Run code in a process of its own, in a folder; it must succeed."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | QUICKLY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
