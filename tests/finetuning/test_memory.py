"""A process that trains keeps the memory that it frees."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROBE = """
import resource
import numpy as np
from headfit.finetuning.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.full(4_000_000, 1.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

usual = faults()
assert keep_freed_memory()
faults()
print(faults() < usual / 4)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other systems have no such setting")
def test_memory_that_is_freed_is_used_again():
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
