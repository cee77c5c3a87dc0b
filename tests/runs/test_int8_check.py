"""``--precision int8``, from the options to the results."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headfit as hf
from headfit.backbones.engines.engine import EngineInfo
from headfit.backbones.graphs import int8
from headfit.cli.main import main
from headfit.runs.options import Options
from photos import CLASSES, write_folder

SETTINGS: dict[str, Any] = {
    "size": 64,
    "protocol": "quick",
    "folds": 3,
    "heads": "gap,flatten",
    "where": False,
    "curve": False,
}


def test_int8_does_not_run_on_keras() -> None:
    with pytest.raises(hf.UsageError, match=r"`engine` must be .* run on OpenVINO only"):
        Options(precision="int8", engine="keras").check()


def test_an_unknown_precision_lists_those_that_exist() -> None:
    with pytest.raises(hf.UsageError, match="`precision` must be one of float32, int8"):
        Options(precision="bf16").check()


def test_an_absent_package_is_found_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(int8, "find_spec", lambda _: None)
    write_folder(tmp_path / "photos", 4)
    out = tmp_path / "out"
    code = main(["compare", str(tmp_path / "photos"), "--precision", "int8", "--out", str(out)])
    assert code == 2
    assert "pip install 'headfit[int8]'" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("nncf") is None, reason="needs the extra int8")
def test_int8_is_measured_printed_and_its_model_runs_in_float32(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "photos", tmp_path / "out"
    write_folder(folder, 12, split="train", seed=80)  # photographs of this test alone
    write_folder(folder, 3, split="test", seed=81)
    command = ["compare", str(folder), "--size", "64", "--folds", "3", "--quick", "--heads"]
    command += ["gap,flatten", "--precision", "int8", "--out", str(out)]
    assert main(command) == 0
    printed = " ".join(capsys.readouterr().out.split())
    results = json.loads((out / "results.json").read_text())
    precision = results["precision"]
    assert precision["sentence"].startswith("int8 changes the balanced accuracy of ")
    assert f"against float32, {precision['speedup']:.2f} times as fast" in printed
    assert precision["images"] == precision["calibrated_on"] == precision["calibrated"] == 36
    assert 0.5 < precision["cosine_lowest"] <= precision["cosine_mean"] < 1
    change = precision["difference"]
    assert change["mean"] == pytest.approx(precision["int8"] - precision["float32"])
    assert precision["head"] == results["verdict"]["recommended"]
    assert results["settings"]["precision"] == "int8"
    assert "--precision int8" in results["settings"]["command"]
    assert EngineInfo.from_dict(results["settings"]["engine"]).precision == "int8"

    # the very folds and scores of a study in float32, for the sample is the whole
    plain = hf.compare(folder, **SETTINGS)
    assert plain.results["precision"] is None
    assert plain.results["images"]["computed"] == 9  # the test images: int8 left no others to do
    scores = {c["head"]: c["balanced_accuracy"]["mean"] for c in plain.results["candidates"]}
    assert precision["float32"] == pytest.approx(scores[precision["head"]])

    # nothing is told: neither engine had to stand in for the other
    told: list[str] = []
    classifier = hf.Classifier(out / "model.keras", tell=told.append)
    paths = [folder / "test" / name / "00.jpg" for name in CLASSES]
    assert np.isfinite(classifier.predict_proba(paths)).all()
    assert [line for line in told if "cannot run" in line] == []

    monkeypatch.setattr("headfit.backbones.graphs.tuning._try", lambda _: pytest.fail("a trial"))
    again = hf.compare(folder, precision="int8", **SETTINGS)
    assert again.results["images"]["computed"] == 0
    assert again.results["precision"] == precision
