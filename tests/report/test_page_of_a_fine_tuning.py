"""The page of a fine-tuning in a real browser: its section on what training more brings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import browser
import stored_run
from browser import find
from headfit.images.sources.folder import FolderSource
from headfit.report.page import write_report

pytestmark = pytest.mark.skipif(not (browser.CHROMIUM and browser.DRIVER), reason=browser.MISSING)
SECTION = "section[aria-labelledby=gains]"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("tuned")
    photos = FolderSource(stored_run.write_photos(root / "photos"))
    write_report(root / "report.html", stored_run.tuned(), stored_run.predictions_csv(), photos)
    return Path(root / "report.html").as_uri()


@pytest.fixture
def gains() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = stored_run.tuned()["finetune"]["gains"]
    return rows


def test_the_navigation_leads_to_the_section(page: Any) -> None:
    find(page, "nav a[href='#gains']")[0].click()
    heading = find(page, "#gains")[0]
    assert heading.text == "What training more brings"
    top = page.execute_script("return arguments[0].getBoundingClientRect().top", heading)
    assert -1 < top < 900
    assert page.get_log("browser") == []


def test_plot_sentences_and_table_agree(page: Any, gains: list[dict[str, Any]]) -> None:
    drawn = find(page, f"{SECTION} #plot-gains svg")[0]
    assert drawn.is_displayed() and drawn.size["width"] > 200
    marks = [each.get_attribute("aria-label") for each in find(page, "#plot-gains .mark")]
    assert marks == [f"{gain['name']}: {gain['sentence']}" for gain in gains]
    assert [each.text for each in find(page, f"{SECTION} li")] == marks
    rows = [each.text for each in find(page, f"{SECTION} tbody th")]
    assert rows == [gain["name"] for gain in gains]


def test_a_mark_says_what_its_row_brings(page: Any, gains: list[dict[str, Any]]) -> None:
    from selenium.webdriver.common.action_chains import ActionChains  # noqa: PLC0415

    circle = find(page, "#plot-gains .mark circle")[0]
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", circle)
    ActionChains(page, duration=0).move_to_element(circle).perform()
    assert gains[0]["sentence"] in find(page, "#tip")[0].text


@pytest.mark.parametrize("width", [360, 400, 1200])
def test_nothing_is_wider_than_a_phone(width: int, driver: Any, address: str) -> None:
    browser.look(driver, width=width)
    browser.visit(driver, address)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    assert find(driver, "#plot-gains svg")[0].size["width"] <= width


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_an_accessibility_check_finds_nothing(dark: bool, driver: Any, address: str) -> None:
    browser.look(driver, dark=dark, width=400)
    browser.visit(driver, address)
    driver.execute_script(browser.axe_source())
    found = driver.execute_async_script("axe.run().then(arguments[0])")
    assert len(found["passes"]) > 15
    violations = [
        (each["id"], [node["html"][:200] for node in each["nodes"][:3]])
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]
    assert violations == []
