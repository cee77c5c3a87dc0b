"""The summary of a comparison: on one screen, the answer first, without contradictions."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
from rich.console import Console

import stored_run
from headfit.cli.show import show_study
from headfit.heads.presets import DEFAULT_HEADS
from headfit.report.text import summary

GAIN = {"more_images": 1968, "mean": 0.0051, "low": 0.001, "high": 0.0112}
TEST = {"images": 656, "balanced_accuracy": 0.8512, "accuracy": 0.861, "majority_accuracy": 0.75}
INT8 = {"difference": {"mean": 0.0012, "low": -0.002, "high": 0.0044}, "speedup": 1.83}
LABELS = ["Position", "More images", "Trust", "Test split", "Files"]


@pytest.fixture
def results() -> dict[str, Any]:
    """Results of the default heads, with all that can be measured."""
    results = copy.deepcopy(stored_run.results())
    first = results["candidates"][0]
    results["candidates"] = [first | {"name": name, "head": name} for name in DEFAULT_HEADS]
    results["test"] = TEST
    for head in results["learning_curve"]["heads"]:
        head["gain"] = GAIN
    return results


def shown(results: dict[str, Any], width: int) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO(), emoji=False, highlight=False)
    show_study(console, results, "headfit-run")
    return [line.rstrip() for line in console.export_text().splitlines()]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (120, 24)])
def test_everything_fits_one_screen_and_the_answer_comes_first(
    width: int, height: int, results: dict[str, Any]
) -> None:
    lines = shown(results, width)
    assert len(lines) < height  # the prompt takes one
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("These images do not decide whether Flatten is necessary.")
    (advice,) = [line for line in lines if line.startswith("Use gap: expect 87.9 % balanced")]
    assert lines.index(advice) <= 2
    for head in DEFAULT_HEADS:
        assert sum(head in line and "●" in line for line in lines) >= 1
    starts = [line[:11].strip() for line in lines[-9:]]
    assert [label for label in starts if label in LABELS] == LABELS


def test_lines_give_the_numbers_of_the_results(results: dict[str, Any]) -> None:
    lines = summary.subjects(results | {"precision": INT8})
    nothing = "nothing between gap and flatten beats gap clearly"
    assert lines["Position"] == f"undecided: {nothing}"
    assert lines["More images"] == (
        "1,968 more: gap +0.5 points (0.1 to 1.1), flatten +0.5 points (0.1 to 1.1); "
        "about 11,000 would decide"
    )
    assert lines["Trust"] == ("calibration error 7.2 %; 3 labels look wrong (suspects.csv)")
    assert lines["Test split"] == "85.1 % balanced accuracy on 656 images; accuracy 86.1 %"
    assert lines["int8"] == "+0.1 points (−0.2 to +0.4) against float32, 1.83 times as fast"


@pytest.mark.parametrize("word", ["necessary", "position_needed"])
def test_position_never_contradicts_the_verdict(word: str, results: dict[str, Any]) -> None:
    results["verdict"]["flatten"] = word
    assert summary.subjects(results)["Position"].startswith("matters: ")
    results["verdict"]["flatten"] = "equivalent"
    assert summary.subjects(results)["Position"].startswith("no effect found: ")


def test_what_was_not_measured_has_no_line(results: dict[str, Any]) -> None:
    results |= {"where": None, "learning_curve": None, "test": None}
    assert list(summary.subjects(results)) == ["Trust"]
    verdict = results["verdict"] | {"difference": None}
    assert summary.answer(verdict) == (
        "Whether Flatten is necessary was not tested. Compare gap and flatten."
    )


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 24)])
def test_each_row_of_a_fine_tuning_has_a_line(width: int, height: int) -> None:
    results = stored_run.tuned()
    lines = shown(results, width)
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("Fine-tuning pays here. Row 0 brings something.")
    answered, *others = results["finetune"]["gains"]
    for gain in others:
        assert any(line.split("  ")[0] == gain["name"] for line in lines[-6:])
        assert sum(gain["sentence"] in line for line in lines) == 1
    assert sum(answered["sentence"] in line for line in lines) == 1
    assert any("trained" in line for line in lines)
