"""The page of models for several labels and for numbers, in a real browser."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import browser
import classifiers
import headfit as hf
from headfit.images.targets import LABELS, NUMBER
from serving_page import choose, finished, opened, served, text, texts, violations

SHOTS = os.environ.get("HEADFIT_TEST_SHOTS")  # a folder for people who want to look


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    if not (browser.CHROMIUM and browser.DRIVER):
        pytest.skip(browser.MISSING)
    with browser.browser(loopback=True) as found:
        yield found


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A patch at the top right."""
    path = tmp_path_factory.mktemp("image") / "image.png"
    Image.fromarray(classifiers.corner_images(1, seed=6)[0][3]).save(path)
    return path


@pytest.mark.parametrize("kind", [LABELS, NUMBER])
def test_the_page_answers_by_kind(kind: str, driver: Any, image: Path, tmp_path: Path) -> None:
    path = classifiers.corner_predictor("flatten", tmp_path / "model.keras", kind)
    classifier = hf.Classifier(path)
    with served(path) as address:
        page = opened(driver, address)
        assert text(page, "#task") == {LABELS: "Label images", NUMBER: "Predict numbers"}[kind]
        listed = {LABELS: "2 labels: top, right", NUMBER: "2 numbers: x, y"}[kind]
        assert text(page, "#about").endswith(listed)
        choose(page, image)
        finished(page, 1)
        if kind == LABELS:
            assert text(page, ".class b") == ", ".join(classifier.predict(image)[0])
            assert set(texts(page, ".bars th")) == {"top", "right"}
        else:
            x, y = classifier.predict(image)[0]
            assert text(page, ".class b") == f"x {x:.4g}, y {y:.4g}"
            assert texts(page, ".measures dt") == ["x", "y"]
            assert texts(page, ".measures dd")[0] == f"{x:.4g} ({x - 4:.4g} to {x + 4:.4g})"
        title = {LABELS: "Evidence for and against", NUMBER: "What pushes x up and down"}[kind]
        assert text(page, ".maps h4").startswith(title)
        counted = {LABELS: "1 image labelled.", NUMBER: "1 image predicted."}[kind]
        assert text(page, "#count") == counted
        assert violations(page) == []
        log = [each["message"] for each in page.get_log("browser")]
        assert log == []
        if SHOTS:
            page.save_screenshot(str(Path(SHOTS) / f"{kind}.png"))
