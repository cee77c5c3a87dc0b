"""Shared by the tests of the solvers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="module", autouse=True)
def one_blas_thread() -> Iterator[None]:
    """Matrices are small here: several threads wait for each other longer than they work."""
    with threadpool_limits(1, "blas"):
        yield
