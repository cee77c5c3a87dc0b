"""The page as a file, and the plots, from a real run."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headfit.cli.main import main
from headfit.errors import UsageError
from headfit.report import plots
from headfit.report.html import write_report
from headfit.study.calibration_bins import calibration_bins
from reported import HOSTILE, run_of

mpl.use("agg")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_of(tmp_path_factory.mktemp("reported"))


@pytest.fixture(scope="module")
def results(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "results.json").read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    return (run / "report.html").read_text("utf-8")


class Tags(HTMLParser):
    """Every tag with its attributes, and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_says_what_was_found(page: str, results: dict[str, Any]) -> None:
    text = " ".join(Tags(page).text.split())
    assert " ".join(results["verdict"]["sentence"].split()) in text
    for candidate in results["candidates"]:
        assert f"{candidate['parameters']['head']:,}" in text
        assert f"{100 * candidate['balanced_accuracy']['mean']:.1f}" in text
    assert results["settings"]["command"] in text
    assert results["fingerprint"]["data"] in text
    assert "<b>broken<b>.jpg" in text


def test_the_page_asks_for_nothing(page: str) -> None:
    for _, attributes in Tags(page).tags:
        for name in ("src", "href", "xlink:href", "action", "data", "poster"):
            value = attributes.get(name) or ""
            assert value.startswith(("data:image/", "#")) or not value, value
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    assert len(page) < 5_000_000


def test_names_from_outside_stay_text(page: str, results: dict[str, Any]) -> None:
    assert HOSTILE in results["images"]["classes"]
    found = Tags(page)
    assert not any(attributes.get("onerror") for _, attributes in found.tags)
    assert HOSTILE in found.text


def test_ids_are_unique_and_links_lead_somewhere(page: str) -> None:
    tags = Tags(page).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {a["href"] for tag, a in tags if tag == "a" and a.get("href")}
    assert {link[1:] for link in links if link} <= set(ids)


def test_a_page_that_tells_the_same_is_not_written_again(run: Path, results: dict) -> None:
    page, table = run / "report.html", (run / "predictions.csv").read_text("utf-8")
    root = run.parent / "photos"
    assert not write_report(page, results, table, root)
    later = {**results, "timings": {"total": 1.0}}
    assert not write_report(page, later, table, root)
    assert write_report(run / "other.html", results, table, None)
    assert "data:image/jpeg" not in (run / "other.html").read_text("utf-8")


def test_the_command_writes_the_page_anew(
    run: Path, page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "report.html").unlink()
    assert main(["report", str(run)]) == 0
    assert "report.html" in capsys.readouterr().out
    assert (run / "report.html").read_text("utf-8") == page


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (None, 2, "does not exist; RUN is the folder"),
        ("no json", 1, "is no JSON"),
        ('{"schema": "else/1"}', 1, "has the schema 'else/1'; expected headfit.results/1"),
    ],
)
def test_what_is_no_run_is_refused(
    content: str | None,
    code: int,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    assert main(["report", str(tmp_path)]) == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("name", [name for name in plots.__all__ if name != "maps"])
def test_each_plot_takes_and_returns_axes(name: str, results: dict[str, Any]) -> None:
    axes = Figure().add_subplot()
    try:
        drawn = getattr(plots, name)(results, axes)
    except UsageError:
        # what these few images cannot tell has no plot
        assert name in {"posterior", "learning_curve"}
        return
    assert drawn is axes
    assert isinstance(axes, Axes)
    assert axes.get_title(loc="left")
    assert axes.has_data() or axes.images


def test_bins_of_the_reliability_diagram_hold_every_image_once() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), (2, 200))
    labels = rng.integers(0, 3, 200)
    bins = calibration_bins(probabilities, labels)
    assert sum(each["images"] for each in bins) == pytest.approx(200)
    hits = (probabilities.argmax(axis=2) == labels).mean()
    weighted = sum(each["images"] * each["accuracy"] for each in bins) / 200
    assert weighted == pytest.approx(hits)
    assert all(each["low"] <= each["accuracy"] <= each["high"] for each in bins)
