"""The page of a server in a real browser: what tests do on it and read from it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn

import browser
from browser import find
from headfit.serve import create_app
from headfit.web.listener import listen

PATIENCE = 120


@contextlib.contextmanager
def served(*models: Path, **options: Any) -> Iterator[str]:
    sock = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(create_app(list(models), **options), log_config=None))
    thread = threading.Thread(target=server.run, args=([sock],))
    thread.start()
    try:
        wait_for(lambda: server.started and thread.is_alive())
        yield f"http://127.0.0.1:{sock.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()


def opened(driver: Any, address: str) -> Any:
    browser.look(driver)
    driver.get_log("browser")
    browser.visit(driver, address)
    wait_for(lambda: find(driver, "#add:not([hidden])"))
    return driver


def wait_for(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def text(driver: Any, selector: str) -> str:
    script = "return document.querySelector(arguments[0])?.textContent ?? ''"
    return str(driver.execute_script(script, selector))


def texts(driver: Any, selector: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map(each => each.textContent)"
    return list(driver.execute_script(script, selector))


def choose(driver: Any, *paths: Path) -> None:
    find(driver, "#files")[0].send_keys("\n".join(map(str, paths)))


def finished(driver: Any, images: int) -> None:
    """Wait until all images have their answers and their heat maps."""
    script = """
        const done = document.querySelectorAll(".class, .text > .failed").length;
        const drawn = document.querySelectorAll(".maps .pictures, .maps .failed").length;
        const asked = document.querySelectorAll("#heads input:checked").length;
        const good = document.querySelectorAll(".class").length;
        return done === arguments[0] && (!asked || drawn === good);
    """
    wait_for(lambda: driver.execute_script(script, images))


def violations(driver: Any) -> list[tuple[str, str]]:
    driver.execute_script(browser.axe_source())
    found = driver.execute_async_script("axe.run().then(arguments[0])")
    assert len(found["passes"]) > 15
    return [(each["id"], each["nodes"][0]["html"][:200]) for each in found["violations"]]
