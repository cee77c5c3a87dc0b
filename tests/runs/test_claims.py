"""Claims of mistakes in a run: measured when asked for, stored, and told in a line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import headfit as hf
from headfit.report.text.summary import subjects
from headfit.study import claims
from photos import write_folder

BARE: dict[str, Any] = {"size": 64, "protocol": "quick", "where": False, "curve": False}


def copied_folder(folder: Path) -> Path:
    """Write a folder in which four pictures of a class are there twice."""
    write_folder(folder, 10)
    for number in range(4):
        shutil.copy(folder / "red" / f"{number:02}.jpg", folder / "red" / f"copy{number}.jpg")
    return folder


@pytest.mark.slow
def test_claims_are_in_the_results_and_are_measured_once(tmp_path, monkeypatch) -> None:
    folder = copied_folder(tmp_path)
    study = hf.compare(folder, heads="gap,flatten,gmp", claims=True, **BARE)
    found = study.results["claims"]
    assert [each["name"] for each in found["heads"]] == ["gap", "flatten"]
    for each in (*found["heads"], {"tuning": {}, "groups": found["selection"]}):
        for claim in (*each["tuning"].values(), each["groups"]):
            assert claim["inflation"] == pytest.approx(claim["claimed"] - claim["honest"])
    first = study.results["candidates"][0]["balanced_accuracy"]["mean"]
    assert found["heads"][0]["tuning"]["fold"]["honest"] == pytest.approx(first)  # one repeat
    assert subjects(study.results)["Mistakes"].startswith("claimed − honest score (flatten): ")
    assert "--claims" in study.results["settings"]["command"]
    json.dumps(study.results, allow_nan=False)

    def fail(*_: Any) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(claims, "tuning", fail)
    monkeypatch.setattr("headfit.fitting.exact.method.Exact.cross_validate", fail)
    again = hf.compare(folder, heads="gap,flatten,gmp", claims=True, **BARE)
    assert again.results["claims"] == found


@pytest.mark.slow
def test_without_being_asked_for_claims_are_not_measured(tmp_path) -> None:
    study = hf.compare(write_folder(tmp_path, 8), heads="gap", **BARE)
    assert study.results["claims"] is None
    assert "claims" not in study.results["settings"]["command"]
