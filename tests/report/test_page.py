"""The page in a real browser, from disk, with the network refused."""

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


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("page")
    photos: Path = stored_run.write_photos(root / "photos")
    results, table = stored_run.results(), stored_run.predictions_csv()
    write_report(root / "report.html", results, table, FolderSource(photos))
    return (root / "report.html").as_uri()


def shown(page: Any, selector: str) -> list[str]:
    return [e.text for e in find(page, selector) if e.is_displayed()]


def test_it_loads_without_an_error_and_without_a_request(page: Any) -> None:
    assert page.title.startswith("headfit: use ")
    assert page.get_log("browser") == []
    loaded = "return performance.getEntriesByType('resource').map(e => e.name)"
    assert [name for name in page.execute_script(loaded) if not name.startswith("data:")] == []
    broken = "return [...document.images].filter(i => !i.naturalWidth).length"
    assert page.execute_script(broken) == 0
    opened = "return performance.getEntriesByType('navigation')[0].domComplete"
    assert page.execute_script(opened) < 5000


def test_a_request_would_be_refused_by_the_page_itself(page: Any) -> None:
    script = (
        "const done = arguments[0];"
        "document.addEventListener('securitypolicyviolation', e => done(e.violatedDirective));"
        "const i = new Image(); i.src = 'https://example.org/x.png'; document.body.append(i);"
    )
    assert page.execute_async_script(script) == "img-src"


def test_a_click_on_a_heading_sorts(page: Any) -> None:
    heading = find(page, "#heads thead th")[5]
    counts = [c["parameters"]["head"] for c in stored_run.results()["candidates"]]
    for order, falling in (("descending", True), ("ascending", False)):
        heading.find_element("css selector", "button").click()
        cells = shown(page, "#heads tbody td:nth-child(6)")
        found = [int(cell.replace(",", "")) for cell in cells]
        assert found == sorted(counts, reverse=falling)
        assert heading.get_attribute("aria-sort") == order
    assert len(find(page, "#heads [aria-sort]")) == 1


def test_heads_are_filtered_by_name(page: Any) -> None:
    find(page, "#filter")[0].send_keys("GMP")
    assert [row.split()[-1] for row in shown(page, "#heads tbody th")] == ["gmp"]
    assert shown(page, "#filtered") == ["1 of 4"]


def test_a_cell_of_the_matrix_opens_its_images(page: Any) -> None:
    wrong = next(each for each in stored_run.predictions() if not each.right)
    names = list(stored_run.results()["images"]["classes"])
    cell = f"cell-{names.index(wrong.label)}-{names.index(wrong.predicted)}"
    assert wrong.path not in shown(page, f"#{cell} .path")
    find(page, f'#confusion a[href="#{cell}"]')[0].click()
    assert wrong.path in shown(page, f"#{cell} .path")
    focused = page.execute_script("return document.activeElement.parentElement.id")
    assert focused == cell


def test_choosing_a_class_leaves_its_images(page: Any) -> None:
    find(page, "#class option[value='plain']")[0].click()
    left = [e for e in find(page, "[data-label]") if e.is_displayed()]
    assert left
    pairs = {(e.get_attribute("data-label"), e.get_attribute("data-predicted")) for e in left}
    assert all("plain" in pair for pair in pairs)
    assert [row.split()[0] for row in shown(page, "#classes tr.chosen")] == ["plain"]


def test_a_hostile_name_stays_text(page: Any) -> None:
    assert stored_run.HOSTILE in shown(page, "#classes tbody th")
    assert len(find(page, "script")) == 1
    assert any(path.startswith("plain/<b>") for path in shown(page, ".photos .path"))


def test_everything_is_readable_without_javascript(driver: Any, address: str) -> None:
    browser.look(driver, script=False)
    driver.get(address)  # nothing can be asked of the page meanwhile
    # the driver itself needs scripts to look; what has run by now has not run
    browser.look(driver)
    assert len(find(driver, "#heads tbody tr")) == 4
    assert find(driver, "thead button") == []
    assert shown(driver, "[data-tool]") == []
    target = find(driver, "#confusion a")[0].get_attribute("href").rpartition("#")[2]
    assert find(driver, f"details#{target} .path")


@pytest.mark.parametrize("width", [400, 1200])
def test_nothing_is_wider_than_the_window(width: int, driver: Any, address: str) -> None:
    browser.look(driver, width=width)
    browser.visit(driver, address)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_an_accessibility_check_finds_nothing_serious(
    dark: bool, driver: Any, address: str
) -> None:
    browser.look(driver, dark=dark)
    browser.visit(driver, address)
    # the page's own policy allows no foreign script; the driver's scripts are not the page's
    driver.execute_script(browser.axe_source())
    found = driver.execute_async_script("axe.run().then(arguments[0])")
    assert len(found["passes"]) > 15
    serious = [
        (each["id"], [node["html"][:200] for node in each["nodes"][:3]])
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []
