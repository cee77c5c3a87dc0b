"""Shared by the tests of the page in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import browser


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    with browser.browser() as found:
        yield found


@pytest.fixture
def page(driver: Any, address: str) -> Any:
    """The page at the address that the tests of a file ask for."""
    browser.look(driver)
    browser.visit(driver, address)
    return driver
