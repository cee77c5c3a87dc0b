"""Whatever is tested here cannot take the memory of the machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from contained import MOST_DATA
from headfit.util.limits import allocated


@pytest.fixture(autouse=True, scope="module")
def within_the_memory_of_one_honest_command() -> Iterator[None]:
    """Limit what this process and its children allocate from now on, on Linux."""
    if sys.platform != "linux":
        yield
        return
    import resource  # noqa: PLC0415  (not on Windows)

    former = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (allocated() + MOST_DATA, former[1]))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, former)
