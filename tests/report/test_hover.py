"""Marks of the page's plots say their numbers: to a pointer, to keys, and without JavaScript."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import browser
import stored_run
from browser import find
from headfit.report.page import write_report
from tooltips import SPEAKING, expected

pytestmark = pytest.mark.skipif(not (browser.CHROMIUM and browser.DRIVER), reason=browser.MISSING)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("hover") / "report.html"
    write_report(path, stored_run.results(), stored_run.predictions_csv(), None)
    return path.as_uri()


@pytest.fixture
def results() -> dict[str, Any]:
    return stored_run.results()


def mark(page: Any, plot: str, head: str) -> Any:
    return find(page, f'#plot-{plot} .mark[data-head="{head}"]')[0]


def acting(page: Any) -> Any:
    from selenium.webdriver.common.action_chains import ActionChains  # noqa: PLC0415

    return ActionChains(page, duration=0)


def point_at(page: Any, element: Any) -> None:
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    acting(page).move_to_element(element).perform()


def press(page: Any, *names: str) -> None:
    from selenium.webdriver.common.keys import Keys  # noqa: PLC0415

    acting(page).send_keys(*(getattr(Keys, name) for name in names)).perform()


def wait(page: Any) -> None:
    """Longer than the tooltip stays after the pointer has left."""
    page.execute_async_script("setTimeout(arguments[0], 250)")


def tip(page: Any) -> str:
    """What the tooltip says; empty while it is hidden."""
    return str(page.find_element("id", "tip").text)


@pytest.mark.parametrize("plot", SPEAKING)
def test_the_pointer_brings_the_numbers(plot: str, page: Any, results: dict[str, Any]) -> None:
    marks = find(page, f"#plot-{plot} .mark")
    for number in (0, len(marks) - 1):
        point_at(page, marks[number].find_element("css selector", "circle"))
        assert expected(results, plot)[number] in tip(page).split("\n")
        assert marks[number].get_attribute("aria-label") == expected(results, plot)[number]
    point_at(page, find(page, "h1")[0])
    wait(page)
    assert tip(page) == ""


def test_marks_lie_on_what_is_drawn(page: Any) -> None:
    apart = """
    const middle = (e) => { const b = e.getBoundingClientRect();
      return [b.x + b.width / 2, b.y + b.height / 2]; };
    return [...document.querySelectorAll('#plot-scores .mark')].map((mark) => {
      const [x, y] = middle(mark.querySelector('circle'));
      const head = CSS.escape(mark.dataset.head);
      return Math.min(...[...document.querySelectorAll(
        `#plot-scores g[data-head="${head}"]:not(.mark) use`)].map((use) => {
          const [u, v] = middle(use);
          return Math.hypot(u - x, v - y); }));
    });"""
    found = page.execute_script(apart)
    assert len(found) == 4
    assert max(found) < 1


def test_a_mark_is_reached_by_keys_and_dismissed_by_escape(
    page: Any, results: dict[str, Any]
) -> None:
    texts = expected(results, "scores")
    find(page, "#heads thead button")[-1].send_keys("\ue004")  # tab
    assert tip(page) == texts[0]
    press(page, "ARROW_DOWN", "ARROW_DOWN")
    assert tip(page) == texts[2]
    press(page, "END", "ARROW_DOWN")
    assert tip(page) == texts[-1]
    press(page, "ESCAPE")
    assert tip(page) == ""
    press(page, "ARROW_UP")
    assert tip(page) == texts[-2]
    # each plot is one stop
    press(page, "TAB")
    focused = page.execute_script("return document.activeElement.closest('.plot').id")
    assert focused == "plot-spectrum"
    assert tip(page) == expected(results, "spectrum")[0]


def test_escape_dismisses_until_the_pointer_comes_again(page: Any) -> None:
    flatten = mark(page, "scores", "flatten")
    point_at(page, flatten)
    assert tip(page)
    press(page, "ESCAPE")
    assert tip(page) == ""
    acting(page).move_by_offset(1, 0).perform()
    assert tip(page) == ""
    point_at(page, find(page, "#evidence")[0])
    point_at(page, flatten)
    assert tip(page).startswith("flatten")


def test_the_tooltip_itself_can_be_pointed_at(page: Any) -> None:
    point_at(page, mark(page, "scores", "gap"))
    said = tip(page)
    acting(page).move_to_element(page.find_element("id", "tip")).perform()
    wait(page)
    assert tip(page) == said != ""


def test_the_nearest_of_marks_upon_each_other_speaks(page: Any) -> None:
    # their intervals overlap, their parameters are the same
    for head in ("gap", "gmp"):
        point_at(page, mark(page, "cost", head).find_element("css selector", "circle"))
        assert tip(page).startswith(f"{head}:")


def test_marks_that_hide_each_other_speak_together(page: Any, results: dict[str, Any]) -> None:
    first = mark(page, "learning_curve", "gap").find_element("css selector", "circle")
    point_at(page, first)
    texts = expected(results, "learning_curve")
    assert sorted(tip(page).split("\n")) == sorted([texts[0], texts[3]])


def test_a_head_lights_up_wherever_it_is(page: Any) -> None:
    lit = "return [...document.querySelectorAll('.lit')].map(e => [e.localName, e.dataset.head])"
    for owner in (mark(page, "overfit", "gmp"), find(page, "#heads tr[data-head='gmp'] td")[0]):
        point_at(page, owner)
        found = page.execute_script(lit)
        assert {head for _, head in found} == {"gmp"}
        assert [tag for tag, _ in found].count("tr") == 2
        assert [tag for tag, _ in found].count("g") == 3


def test_heads_that_are_filtered_out_fade_in_the_plots(page: Any) -> None:
    faded = (
        "return [...document.querySelectorAll('#plot-scores [data-head]')]"
        ".map(e => [e.dataset.head, getComputedStyle(e).opacity])"
    )
    field = find(page, "#filter")[0]
    field.send_keys("gmp")
    found = page.execute_script(faded)
    assert {head for head, opacity in found if opacity == "1"} == {"gmp"}
    assert {head for head, opacity in found if opacity == "0.15"} == {"gap", "flatten", "gap-16"}
    assert [e.get_attribute("data-head") for e in find(page, "#plot-scores [tabindex='0']")] == [
        "gmp"
    ]
    field.send_keys(*["\ue003"] * 3)  # backspace
    assert {opacity for _, opacity in page.execute_script(faded)} == {"1"}


def test_a_cell_of_the_matrix_says_its_share(page: Any, results: dict[str, Any]) -> None:
    counts = results["reliability"]["confusion"]
    names = [row["name"] for row in results["reliability"]["classes"]]
    row, column = next(
        (i, j) for i, line in enumerate(counts) for j, n in enumerate(line) if n and i != j
    )
    cell = find(page, f"#confusion a[href='#cell-{row}-{column}']")[0]
    point_at(page, cell)
    share = 100 * counts[row][column] / sum(counts[row])
    assert tip(page).replace("\n", " ") == (
        f"{counts[row][column]} labelled {names[row]}, predicted {names[column]} "
        f"({share:.1f} % of {names[row]})"
    )


def test_without_javascript_the_browser_has_the_titles(
    driver: Any, address: str, results: dict[str, Any]
) -> None:
    browser.look(driver, script=False)
    driver.get(address)  # nothing can be asked of the page meanwhile
    browser.look(driver)  # to look at; what has run by now has not run
    for plot in SPEAKING:
        found = find(driver, f"#plot-{plot} .mark > title")
        assert [e.get_attribute("textContent") for e in found] == expected(results, plot)
    assert len(find(driver, "#confusion td[title]")) > 3
    assert find(driver, "[tabindex='-1'].mark") == []


def test_every_tooltip_is_within_a_window_of_400_pixels(driver: Any, address: str) -> None:
    browser.look(driver, width=400)
    browser.visit(driver, address)
    outside = """
    const bad = [];
    for (const mark of document.querySelectorAll('.mark, #confusion td[data-tip]')) {
      mark.scrollIntoView({block: 'start'});
      const rect = mark.getBoundingClientRect();
      const at = {bubbles: true, clientX: rect.right, clientY: rect.top + rect.height / 2};
      mark.dispatchEvent(new PointerEvent('pointermove', at));
      const box = document.getElementById('tip').getBoundingClientRect();
      const width = document.documentElement.clientWidth;
      if (!box.width || box.left < 0 || box.top < 0 || box.right > width
          || document.documentElement.scrollWidth > width) bad.push([mark.textContent, box.left]);
    }
    return bad;"""
    assert driver.execute_script(outside) == []


# the whole page is looked at in test_page.py
AREA = {"include": [["#plot-scores"], ["#plot-cost"], ["#tip"], ["#confusion"]]}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_an_accessibility_check_finds_nothing_serious_while_a_tooltip_is_shown(
    dark: bool, driver: Any, address: str
) -> None:
    browser.look(driver, dark=dark)
    browser.visit(driver, address)
    find(driver, "#heads thead button")[-1].send_keys("\ue004")  # tab
    driver.execute_script(browser.axe_source())
    found = driver.execute_async_script("axe.run(arguments[0]).then(arguments[1])", AREA)
    assert tip(driver)
    assert len(found["passes"]) > 10
    serious = [
        (each["id"], [node["html"][:200] for node in each["nodes"][:3]])
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert driver.get_log("browser") == []
