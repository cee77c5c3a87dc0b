"""The page of a server of models, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import browser
from browser import find
from headfit.serve import Limits
from serving_page import (
    PATIENCE,
    choose,
    finished,
    opened,
    served,
    text,
    texts,
    violations,
    wait_for,
)

TOKEN = "a-token-of-16-letters"


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    if not (browser.CHROMIUM and browser.DRIVER):
        pytest.skip(browser.MISSING)
    with browser.browser(loopback=True) as found:
        yield found


@pytest.fixture(scope="module")
def address(stored_run: Any, trained: Any) -> Iterator[str]:
    # the first heat maps need networks of their own, which are opened then
    limits = Limits(file_bytes=200_000, deadline=5 * PATIENCE)
    with served(stored_run.folder, trained.model, limits=limits) as found:
        yield found


@pytest.fixture
def page(driver: Any, address: str) -> Iterator[Any]:
    """The page, whose every request goes to its server and whose console stays empty."""
    yield opened(driver, address)
    asked = "return performance.getEntriesByType('resource').map(each => each.name)"
    allowed = (address, "data:", f"blob:{address}")
    assert [name for name in driver.execute_script(asked) if not name.startswith(allowed)] == []
    # the browser notes each answer that says that no image could be read
    log = [each["message"] for each in driver.get_log("browser")]
    assert [message for message in log if "status of 422" not in message] == []


@pytest.fixture(scope="module")
def photos(stored_run: Any, trained: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"{number}.png" for number in range(4)]
    for path, data in zip(paths, stored_run.files, strict=False):
        path.write_bytes(data)
    return paths


def drag(driver: Any, *paths: Path) -> None:
    """Drag files from the desktop onto the page and drop them."""
    data = {"items": [], "files": list(map(str, paths)), "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        event = {"type": kind, "x": 400, "y": 250, "data": data}
        driver.execute_cdp_cmd("Input.dispatchDragEvent", event)
        assert bool(find(driver, ".drop.over")) == (kind != "drop")


def copy_image(driver: Any, address: str) -> None:
    """Put a picture on the clipboard, as another program would."""
    permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"]
    grant = {"origin": address, "permissions": permissions}
    driver.execute_cdp_cmd("Browser.grantPermissions", grant)
    script = """
        const canvas = new OffscreenCanvas(64, 64);
        canvas.getContext("2d").fillRect(8, 8, 16, 16);
        canvas.convertToBlob().then((blob) => navigator.clipboard
            .write([new ClipboardItem({"image/png": blob})])).then(arguments[0]);
    """
    driver.execute_async_script(script)


def ctrl_v(driver: Any) -> None:
    key = {"key": "v", "code": "KeyV", "modifiers": 2, "windowsVirtualKeyCode": 86}
    down = {**key, "type": "keyDown", "commands": ["paste"]}
    driver.execute_cdp_cmd("Input.dispatchKeyEvent", down)
    driver.execute_cdp_cmd("Input.dispatchKeyEvent", {**key, "type": "keyUp"})


def test_a_chosen_image_is_classified_as_by_predict(page: Any, photos: list[Path], stored_run: Any):
    choose(page, photos[0])
    finished(page, 1)
    p = stored_run.probabilities[0]
    first = stored_run.classes[p.argmax()]
    assert text(page, ".class b") == first
    assert text(page, ".class").endswith(f"{100 * p.max():.1f}\u00a0%")
    assert text(page, "#news").startswith(f"0.png: {first}, ")
    shown = dict(zip(texts(page, ".bars th"), texts(page, ".bars td:last-child"), strict=True))
    assert set(shown) == set(stored_run.classes)
    assert next(iter(shown)) == first
    widths = [bar.size["width"] for bar in find(page, ".bar > span")]
    whole = find(page, ".bar")[0].size["width"]
    assert widths == pytest.approx(sorted(whole * p, reverse=True), abs=3)


def test_dropped_images_have_their_answers_in_order(page: Any, photos: list[Path]):
    drag(page, *photos)
    finished(page, 4)
    assert texts(page, ".result h3") == [path.name for path in photos]
    assert text(page, "#count") == text(page, "#news") == "4 images classified."
    drag(page, photos[2])
    finished(page, 5)
    assert texts(page, ".result h3")[0] == "2.png"


def test_a_copied_image_is_pasted_by_key_and_by_button(page: Any, address: str):
    copy_image(page, address)
    ctrl_v(page)
    finished(page, 1)
    find(page, "#paste")[0].click()
    finished(page, 2)
    assert texts(page, ".result h3")[0] == "pasted.png"
    assert len(set(texts(page, ".class"))) == 1


def test_heat_maps_of_gap_and_flatten_stand_side_by_side(page: Any, photos: list[Path]):
    assert texts(page, "#heads label") == ["gap", "flatten"]
    choose(page, photos[0])
    finished(page, 1)
    captions = texts(page, ".maps figcaption")
    assert [each.partition(":")[0] for each in captions] == ["gap", "flatten"]
    left, right = (each.rect for each in find(page, ".maps figure"))
    assert left["y"] == right["y"] and left["x"] + left["width"] <= right["x"]
    for grey, heat in zip(find(page, ".grey"), find(page, ".map"), strict=True):
        assert grey.rect == heat.rect
        assert page.execute_script("return arguments[0].naturalWidth", heat) > 0
    assert find(page, ".map")[1].get_attribute("alt").startswith("flatten: most support for ")
    find(page, "#heads input")[0].click()
    wait_for(lambda: [each[:7] for each in texts(page, ".maps figcaption")] == ["flatten"])


def test_bad_files_say_why_in_their_places(page: Any, photos: list[Path], tmp_path: Path):
    bad, large = tmp_path / "<b>bad.png", tmp_path / "large.png"
    bad.write_bytes(b"no image")
    large.write_bytes(bytes(200_001))
    choose(page, photos[0], bad, large, photos[1])
    finished(page, 4)
    assert texts(page, ".result h3") == ["0.png", "<b>bad.png", "large.png", "1.png"]
    first, second = texts(page, ".failed")
    assert first.startswith("This file cannot be read: ")
    assert second == "This file has 0.2 MB; this server takes 0.2 MB at most."
    assert text(page, "#count") == "2 images classified, 2 failed."
    assert len(find(page, ".photo .blank")) == 2


def test_what_holds_no_image_is_said(page: Any):
    page.execute_script(
        "const data = new DataTransfer(); data.setData('text/plain', 'text');"
        "dispatchEvent(new DragEvent('drop', {dataTransfer: data, cancelable: true}))"
    )
    assert text(page, "#hint") == text(page, "#news")
    assert text(page, "#hint").startswith("No image came with it.")


def test_another_model_answers_for_the_same_images_with_its_measures(page: Any, trained: Any):
    choose(page, trained.fresh[0], trained.strangers[0])
    finished(page, 2)
    assert find(page, ".unlike") == []
    page.execute_script("document.querySelector('#model').value = 'model'")
    page.execute_script("document.querySelector('#model').dispatchEvent(new Event('change'))")
    wait_for(lambda: len(find(page, ".measures")) == 2)
    finished(page, 2)
    assert texts(page, ".result")[0].count("Unlike the training images") == 0
    assert texts(page, ".result")[1].count("Unlike the training images") == 1
    assert texts(page, ".measures dt")[:2] == ["Calibrated", "Prediction set"]


def test_the_keyboard_alone_is_enough(page: Any, photos: list[Path]):
    from selenium.webdriver import ActionChains, Keys  # noqa: PLC0415

    def press(key: str) -> None:
        ActionChains(page).send_keys(key).perform()

    def tab_to(selector: str) -> None:
        for _ in range(12):
            press(Keys.TAB)
            if page.execute_script("return document.activeElement.matches(arguments[0])", selector):
                return
        pytest.fail(f"no way to {selector}")

    tab_to("#files")
    ring = "return getComputedStyle(document.querySelector('label[for=files]')).outlineStyle"
    assert page.execute_script(ring) == "solid"
    choose(page, photos[0])
    finished(page, 1)
    tab_to("#model")
    tab_to("#heads input[value=flatten]")
    press(Keys.SPACE)
    wait_for(lambda: len(find(page, ".maps figure")) == 1)
    tab_to("#clear")
    press(Keys.ENTER)
    assert find(page, ".result") == []
    assert page.execute_script("return document.activeElement.id") == "files"


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_a_phone_and_the_accessibility_check_finds_nothing(
    page: Any, trained: Any, tmp_path: Path, dark: bool, width: int
):
    browser.look(page, dark=dark, width=width)
    bad = tmp_path / f"{'long-name-' * 12}.png"
    bad.write_bytes(b"no image")
    choose(page, trained.fresh[0], bad, trained.strangers[0])
    finished(page, 3)
    find(page, "summary")[0].click()
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    paper = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(20, 23, 28)" if dark else "rgb(255, 255, 255)")
    assert violations(page) == []


def test_a_phone_offers_its_camera(page: Any):
    camera = find(page, ".camera")[0]
    assert not camera.is_displayed()
    touch = {"enabled": True, "maxTouchPoints": 1}
    page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", touch)
    page.execute_cdp_cmd(
        "Emulation.setEmitTouchEventsForMouse", {"enabled": True, "configuration": "mobile"}
    )
    assert wait_for(camera.is_displayed)
    assert find(page, "#camera")[0].get_attribute("capture") == "environment"


def test_a_server_with_a_token_asks_for_it_and_keeps_it_in_memory(
    driver: Any, stored_run: Any, photos: list[Path]
):
    from selenium.webdriver import Keys  # noqa: PLC0415

    limits = Limits(deadline=5 * PATIENCE)
    with served(stored_run.folder, token=TOKEN, limits=limits) as address:
        browser.look(driver, width=400)
        browser.visit(driver, address)
        wait_for(lambda: find(driver, "#access:not([hidden])"))
        assert "corners" not in driver.page_source
        assert not find(driver, "#add")[0].is_displayed()
        field = driver.switch_to.active_element
        field.send_keys("wrong", Keys.ENTER)
        wait_for(lambda: text(driver, "#about") == "This is not the token of this server.")
        assert violations(driver) == []
        field.send_keys(TOKEN, Keys.ENTER)
        wait_for(lambda: find(driver, "#add:not([hidden])"))
        choose(driver, photos[0])
        finished(driver, 1)
        kept = "return [localStorage.length, sessionStorage.length, document.cookie, location.href]"
        assert driver.execute_script(kept) == [0, 0, "", address]
        driver.get_log("browser")


def test_a_server_that_has_ended_is_said_and_asked_again(
    driver: Any, stored_run: Any, photos: list[Path]
):
    with served(stored_run.folder) as address:
        opened(driver, address)
    choose(driver, photos[0])
    wait_for(lambda: text(driver, ".failed").startswith("The server does not answer."))
    assert find(driver, ".result button")[0].get_attribute("aria-label") == "Try again: 0.png"
    driver.get_log("browser")


def test_a_picture_that_the_browser_cannot_show_is_classified(page: Any, tmp_path: Path):
    path = tmp_path / "scan.tif"
    Image.new("RGB", (60, 40), (90, 120, 30)).save(path)
    choose(page, path)
    finished(page, 1)
    assert text(page, ".photo .blank").startswith("No preview")
    assert len(find(page, ".heat .blank")) == 2
