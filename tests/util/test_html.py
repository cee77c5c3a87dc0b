"""What objects show of themselves in a notebook, and the plots that a study draws."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

import headfit as hf
import stored_run
from headfit.images.contract import Contract
from headfit.model.metadata import ModelRecord
from headfit.report import plots
from headfit.runs.ranking import Ranking
from headfit.study.reliability.model_reliability import ModelReliability
from headfit.study.reliability.outliers import fit_detector
from headfit.util import html as display


class Page(HTMLParser):
    """The tags, attributes and cells of a piece of HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.styles: set[str] = set()
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.styles.update(f"{name}: {value}" for name, value in attrs)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.rows and self.rows[-1] and self.tags[-1] in ("td", "th", "b"):
            self.rows[-1][-1] += data


def read(shown: Any) -> Page:
    page = Page(shown._repr_html_())
    assert set(page.tags) <= {"p", "b", "table", "caption", "thead", "tbody", "tr", "th", "td"}
    # aligned, and nothing else: no colour that a dark notebook would swallow
    sides = {"style: text-align: left", "style: text-align: right"}
    assert page.styles <= sides | {"style: white-space: nowrap"}
    return page


def study_of(results: dict[str, Any]) -> hf.Study:
    """Make a study of stored results, as far as it shows and draws itself."""
    said = results["verdict"]
    verdict = hf.Verdict(
        said["flatten"], said["sentence"], said["recommended"], None, None, None, (0, 0, 0)
    )
    index: Any = None
    return hf.Study(verdict, results, index, np.empty(0), np.empty(0), np.empty(0), "", index)


@pytest.fixture
def study() -> hf.Study:
    return study_of(stored_run.results())


def test_a_study_shows_its_answer_and_a_table_as_in_the_terminal(study: hf.Study) -> None:
    page = read(study)
    assert page.text.startswith(study.verdict.sentence)
    assert "efficientnet_lite0 at 64 px: 75 images, 3 classes, 1 × 3 folds" in page.text
    head, *rows = page.rows
    assert head[:3] == ["head", "balanced accuracy, %", "95 % interval"]
    assert len(rows) == len(study.results["candidates"])
    named = {row[0]: row for row in rows}
    assert named["→ gap"][1:7] == ["88.1", "72.7–100.0", "0.368", "3,843", "0.1", "11.9"]
    assert [row[0] for row in rows if row[0].startswith("→")] == ["→ gap"]
    assert [float(row[1]) for row in rows] == sorted((float(r[1]) for r in rows), reverse=True)


def test_only_the_recommended_row_is_bold(study: hf.Study) -> None:
    bold = re.findall("<b>(.*?)</b>", study._repr_html_())
    assert bold[0] == "→ gap"
    assert len(bold) == len(read(study).rows[0])


def test_what_is_unknown_is_a_question_mark(study: hf.Study) -> None:
    for each in study.results["candidates"]:
        each["balanced_accuracy"] |= {"low": None, "high": None}
    assert {row[2] for row in read(study).rows[1:]} == {"?–?"}


def test_names_stay_text(study: hf.Study) -> None:
    study.results["candidates"][1]["name"] = "<script>alert(1)</script>"
    page = read(study)
    assert any("<script>alert(1)</script>" in row[0] for row in page.rows)
    assert display.escape("a\udcff\x07&") == "a\ufffd\ufffd&amp;"


def test_a_verdict_says_its_sentence_and_is_short_as_text(study: hf.Study) -> None:
    verdict = study.verdict
    assert read(verdict).text == verdict.sentence
    assert repr(verdict) == "<Verdict: use gap; Flatten: undecided>"


def write_model(path: Path, classes: tuple[str, ...], reliability: Any = None) -> hf.Classifier:
    """Write what a classifier reads when it is made: the record, and no network."""
    contract = Contract(96, 64, (1.0,) * 3, (0.0,) * 3)
    probe = ((0.5,) * len(classes),) * 2
    record = ModelRecord(classes, contract, "gap", "MobileNet", probe, "0.1.0", reliability)
    record.append_to(path)
    return hf.Classifier(path)


def test_a_classifier_shows_what_it_is(tmp_path: Path) -> None:
    features, folds = np.random.default_rng(0).random((60, 20), np.float32), np.arange(60) % 5
    sure = ModelReliability(1.25, 0.9, 0.8, fit_detector(features, folds % 2, folds))
    page = read(write_model(tmp_path / "model.keras", ("<b>", "dog"), sure))
    assert page.rows == [
        ["backbone", "MobileNet"],
        ["head", "gap"],
        ["input", "96 × 64 px, RGB 0–255"],
        ["2 classes", "<b>, dog"],
        ["temperature", "1.25"],
        ["written by", "headfit 0.1.0"],
    ]
    methods = re.findall(r"\w+", page.text.partition("headfit 0.1.0")[2].partition(" take ")[0])
    assert len(methods) > 4
    assert all(hasattr(hf.Classifier, name) for name in methods if name != "and")


def test_a_classifier_of_many_classes_and_no_temperature(tmp_path: Path) -> None:
    names = tuple(f"c{number}" for number in range(23))
    rows = dict(read(write_model(tmp_path / "model.keras", names)).rows)
    assert rows["23 classes"].endswith("c18, c19 and 3 more")
    assert rows["temperature"] == "none"


def test_a_ranking_shows_its_table_and_what_was_left_out() -> None:
    def row(name: str, mean: float, behind: float, within: bool) -> dict[str, Any]:
        return {
            "backbone": name,
            "weights": "imagenet",
            "balanced_accuracy": {"mean": mean, "low": mean - 0.02, "high": mean + 0.02},
            "difference": {"mean": -behind, "low": -behind - 0.01, "high": -behind + 0.01},
            "within_noise": within,
            "parameters": 3_413_024,
            "latency_ms": 7.04,
        }

    found = {
        "sentence": "MobileNet is ahead.",
        "backbones": [row("MobileNet", 0.9, 0, True), row("VGG16", 0.89, 0.01, True)],
        "failed": [{"backbone": "mine", "weights": "a/b.h5", "reason": "no <file>"}],
        "images": {"used": 1200, "classes": ["a", "b"]},
    }
    page = read(Ranking(found))
    assert page.rows[1:] == [
        ["→ MobileNet", "90.0", "88.0–92.0", "", "3,413,024", "7.0"],
        ["≈ VGG16", "89.0", "87.0–91.0", "1.0 ± 1.0", "3,413,024", "7.0"],
    ]
    assert page.text.startswith("MobileNet is ahead.1,200 images, 2 classes, each left out in turn")
    assert page.text.endswith("Not ranked: mine (b.h5 weights): no <file>")


def test_an_index_shows_no_path_of_the_disk(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "1.png").touch()
    index = hf.ImageIndex.from_directory(tmp_path / "photos")
    page = read(index)
    assert page.rows == [["class", "images"], ["cat", "1"], ["dog", "1"]]
    assert "photos: 2 images, 0 skipped" in page.text
    assert repr(index) == "<ImageIndex 'photos': 2 images, 2 classes>"


def test_a_study_draws_the_plots_of_the_report(study: hf.Study) -> None:
    ax = study.plot()
    assert ax.get_title(loc="left") == plots.scores(study.results).get_title(loc="left")
    given = plt.subplots()[1]
    assert study.plot("posterior", given) is given
    assert study.plot("confusion", ax=given) is given
    plt.close("all")


def test_an_unknown_plot_lists_those_that_there_are(study: hf.Study) -> None:
    with pytest.raises(hf.UnknownNameError, match=r"Unknown plot 'score'. Did you mean 'scores'"):
        study.plot("score")
    with pytest.raises(hf.UnknownNameError) as caught:
        study.plot("__doc__")
    assert caught.value.valid == sorted(plots.__all__)


def test_a_plot_that_was_not_measured_says_what_measures_it(study: hf.Study) -> None:
    study.results["learning_curve"] = None
    with pytest.raises(hf.UsageError, match="learning curve"):
        study.plot("learning_curve")
