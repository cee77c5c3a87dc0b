"""A real browser without a window, for tests of pages: Debian's chromium, driven by Selenium."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,900",
)
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
MISSING = "needs chromium and its driver: apt-get install chromium chromium-driver"


@contextlib.contextmanager
def browser(*, loopback: bool = False) -> Iterator[Any]:
    """Start a browser of its own that cannot reach the network, and end it.

    With ``loopback`` it reaches this machine, and nothing else.
    """
    from selenium import webdriver  # noqa: PLC0415  (needless where there is no browser)
    from selenium.webdriver.chrome.service import Service  # noqa: PLC0415

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        if loopback:
            # a proxy that is not there; a browser goes past any proxy to its own machine
            options.add_argument("--proxy-server=http://127.0.0.1:9")
        driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
        try:
            driver.execute_cdp_cmd("Network.enable", {})
            refused = {
                "offline": not loopback,
                "latency": 0,
                "downloadThroughput": 0,
                "uploadThroughput": 0,
            }
            driver.execute_cdp_cmd("Network.emulateNetworkConditions", refused)
            yield driver
        finally:
            driver.quit()


def look(driver: Any, *, dark: bool = False, width: int = 1200, script: bool = True) -> None:
    """Set what the reader's machine prefers."""
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not script})


def visit(driver: Any, address: str) -> None:
    """Open a page anew, also if it is the one that is open, and wait until it is whole."""
    from selenium.webdriver.support.ui import WebDriverWait  # noqa: PLC0415

    driver.get("about:blank")
    driver.get(address)
    ready = "return document.readyState === 'complete' && location.href !== 'about:blank'"
    WebDriverWait(driver, 60).until(lambda opened: opened.execute_script(ready))


def find(driver: Any, selector: str) -> list[Any]:
    """List what a CSS selector finds."""
    return list(driver.find_elements("css selector", selector))


def axe_source() -> str:
    """Give axe-core, the accessibility checker, from the package that carries it."""
    import axe_selenium_python  # noqa: PLC0415

    home = Path(axe_selenium_python.__file__).parent
    return (home / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")
