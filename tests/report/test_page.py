"""The page in a real browser, from disk, with the network refused."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reported import HOSTILE, run_of

selenium = pytest.importorskip("selenium.webdriver")
BROWSER, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (BROWSER and DRIVER), reason="no Chromium: apt-get install chromium chromium-driver"
    ),
]
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


def start(folder: Path, *, scripts: bool = True) -> Any:
    """Start Chromium without a network."""
    options = selenium.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS, f"--user-data-dir={folder}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if not scripts:
        block = {"profile.managed_default_content_settings.javascript": 2}
        options.add_experimental_option("prefs", block)
    return selenium.Chrome(options, selenium.ChromeService(DRIVER))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return (run_of(tmp_path_factory.mktemp("reported")) / "report.html").as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    driver = start(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()


@pytest.fixture
def shown(browser: Any, page: str) -> Any:
    browser.get_log("browser")
    browser.get(page)
    return browser


def names(browser: Any) -> list[str]:
    rows = browser.find_elements("css selector", "#heads tbody tr")
    return [row.get_attribute("data-head") for row in rows if row.is_displayed()]


def test_it_loads_without_an_error_and_runs_no_name(shown: Any) -> None:
    assert shown.get_log("browser") == []
    assert HOSTILE in shown.find_element("tag name", "body").text
    assert not shown.find_elements("css selector", "img[onerror]")


def test_the_table_sorts_by_what_is_clicked(shown: Any) -> None:
    before = names(shown)
    assert len(before) == 3
    heading = shown.find_elements("css selector", "#heads thead th")[5]
    button = heading.find_element("tag name", "button")
    assert "parameters" in button.text
    button.click()
    assert names(shown)[0] == "flatten"
    assert heading.get_attribute("aria-sort") == "descending"
    button.click()
    assert names(shown)[-1] == "flatten"
    assert heading.get_attribute("aria-sort") == "ascending"


def test_heads_are_filtered_by_name(shown: Any) -> None:
    shown.find_element("id", "filter").send_keys("fla")
    assert names(shown) == ["flatten"]
    assert shown.find_element("id", "filtered").text == "1 of 3"


def test_a_number_of_the_confusion_matrix_opens_its_images(shown: Any) -> None:
    link = shown.find_element("css selector", "#confusion a")
    target = link.get_attribute("href").partition("#")[2]
    details = shown.find_element("id", target)
    assert details.get_attribute("open") is None
    link.click()
    assert details.get_attribute("open") is not None


def test_a_class_is_chosen(shown: Any) -> None:
    select = shown.find_element("id", "class")
    select.find_elements("tag name", "option")[1].click()
    chosen = select.get_attribute("value")
    assert (
        shown.find_element("css selector", "tr.chosen[data-class]").get_attribute("data-class")
        == chosen
    )
    for element in shown.find_elements("css selector", "[data-label]"):
        about = chosen in (
            element.get_attribute("data-label"),
            element.get_attribute("data-predicted"),
        )
        assert (element.get_attribute("hidden") is None) == about


def test_it_fits_a_narrow_screen(shown: Any) -> None:
    size = shown.get_window_size()
    try:
        shown.set_window_size(500, 900)
        wide = shown.execute_script(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 0
    finally:
        shown.set_window_size(size["width"], size["height"])


def test_it_is_readable_without_scripts(page: str, tmp_path: Path) -> None:
    driver = start(tmp_path / "chromium", scripts=False)
    try:
        driver.get(page)
        text = driver.find_element("tag name", "body").text
        assert "flatten" in text and HOSTILE in text
        assert not driver.find_element("id", "filter").is_displayed()
    finally:
        driver.quit()


def test_an_accessibility_check_finds_nothing_serious(shown: Any) -> None:
    axe = pytest.importorskip("axe_selenium_python")
    script = Path(axe.__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
    shown.execute_script(script.read_text("utf-8"))
    found = shown.execute_async_script(
        "const done = arguments[arguments.length - 1]; axe.run().then(done)"
    )
    serious = [
        (each["id"], [node["html"][:120] for node in each["nodes"][:3]])
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]
    assert found["passes"]
    assert serious == []
