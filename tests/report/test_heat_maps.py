"""Where the heads look: maps over the pictures, in one scale, and readable without the pictures."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import browser
import stored_run
from headfit.errors import DataError
from headfit.explain.colours import OPPOSES, SUPPORTS
from headfit.images.sources.folder import FolderSource
from headfit.report.images import heat_maps, strongest
from headfit.report.page import render, write_report


def opened(uri: str) -> np.ndarray:
    data = base64.b64decode(uri.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"), int)


def test_a_map_has_a_pixel_for_each_position_in_the_colour_of_its_sign() -> None:
    results = stored_run.results()
    found = heat_maps(results, None)
    assert found is not None
    for look, stored in zip(found.images, results["where"]["looks"], strict=True):
        for head, one in zip(look.heads, stored["heads"].values(), strict=True):
            values, pixels = np.array(one["map"]), opened(head.uri)
            assert pixels.shape == (*values.shape, 4)
            assert (pixels[values > 0, :3] == SUPPORTS).all()
            assert (pixels[values < 0, :3] == OPPOSES).all()
            full = np.abs(values) >= found.scale
            assert (pixels[full, 3] == pixels[..., 3].max()).all() or not full.any()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[9, 0, 0], [0, 0, 0], [0, 0, 0]], "upper left"),
        ([[0, 0, 0], [0, 1, 0], [0, 0, 0]], "middle"),
        ([[0, 0], [0, 1]], "lower right"),
        ([[-1, 0], [0, -2]], "nowhere"),
    ],
)
def test_the_place_of_most_support_is_said(values: list[list[int]], expected: str) -> None:
    assert strongest(np.array(values, float)) == expected


@pytest.mark.parametrize("rows", [[], [[1, 2], [3]], [1.0, 2.0], [[float("inf")]], [["x"]], "x"])
def test_a_map_that_is_not_a_table_of_numbers_is_refused(rows: Any) -> None:
    results = stored_run.results()
    results["where"]["looks"][0]["heads"]["gap"]["map"] = rows
    with pytest.raises(DataError, match=r"the heat map of '.*' must be a table"):
        heat_maps(results, None)


def test_a_run_without_them_has_no_such_section() -> None:
    results = stored_run.results()
    assert 'id="looks"' in render(results, stored_run.predictions_csv(), None)
    for without in ({**results["where"], "looks": []}, None):
        page = render({**results, "where": without}, stored_run.predictions_csv(), None)
        assert 'id="looks"' not in page and 'href="#looks"' not in page


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """With the photographs and without them."""
    root = tmp_path_factory.mktemp("looks")
    photos: Path = stored_run.write_photos(root / "photos")
    found = {}
    for name, source in (("photos", FolderSource(photos)), ("none", None)):
        path = root / f"{name}.html"
        write_report(path, stored_run.results(), stored_run.predictions_csv(), source)
        found[name] = path.as_uri()
    return found


@pytest.mark.skipif(not (browser.CHROMIUM and browser.DRIVER), reason=browser.MISSING)
def test_each_map_lies_on_its_picture_and_the_class_filter_reaches_it(
    pages: dict[str, str],
) -> None:
    stored = stored_run.results()["where"]["looks"]

    def all_of(driver: Any, selector: str) -> list[Any]:
        return list(driver.find_elements("css selector", selector))

    with browser.browser() as driver:
        for name, address in pages.items():
            browser.look(driver, dark=name == "none", width=1200 if name == "photos" else 400)
            browser.visit(driver, address)
            maps = all_of(driver, ".looks .heat .map")
            under = all_of(driver, f".looks .heat {'.grey' if name == 'photos' else '.blank'}")
            assert len(maps) == len(under) == 2 * len(stored)
            for above, below in zip(maps, under, strict=True):
                assert above.rect == pytest.approx(below.rect, abs=1)
                assert above.rect["width"] > 80
            assert driver.get_log("browser") == []
        text = driver.find_element("css selector", ".looks").text
        for look in stored:
            assert look["path"] in text and f"labelled {look['label']}" in text
        shown = [e for e in all_of(driver, ".looks li") if e.is_displayed()]
        assert len(shown) == len(stored)
        choice = driver.find_element("id", "class")
        choice.send_keys("plain")
        wanted = [x for x in stored if "plain" in (x["label"], x["class"])]
        shown = [e for e in all_of(driver, ".looks li") if e.is_displayed()]
        assert len(shown) == len(wanted) < len(stored)
