"""Several backbones in one fine-tuning: a small and a large one, trained from scratch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import headfit as hf
import tunable
from headfit.cli.main import main
from headfit.errors import UsageError
from headfit.report.text.summary import subjects
from listener import Listener

SMALL, LARGE = "tunable:small", "tiny.keras"
SETTINGS: dict[str, Any] = {
    **{"preprocessing": "tf", "augment": "hflip,shift0.1", "views": 2, "folds": 3},
    **{"epochs": 2, "batch_size": 8, "learning_rate": 1e-2, "scratch": True, "engine": "keras"},
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tunable.write_folder(tmp_path_factory.mktemp("sizes") / "photos", 8)


@pytest.fixture(scope="module")
def told() -> Listener:
    return Listener()


@pytest.fixture(scope="module")
def study(photos: Path, told: Listener) -> hf.Study:
    large = str(tunable.save(photos.parent / LARGE))
    settings = {**SETTINGS, "unfreeze": "none", "tta": True, "callbacks": told}
    return hf.finetune(photos, backbone=iter([SMALL, large]), **settings)


def rows(study: hf.Study) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in study.results["candidates"]}


def test_each_backbone_has_all_rows_on_the_same_folds(study: hf.Study, told: Listener) -> None:
    heads = ["gap", "gap+views", "gap+scratch"]
    scored = [f"{place}/{head}" for place in ("small", "tiny") for head in heads]
    assert [score.name for score in told.scores] == scored
    averaged = [name for name in rows(study) if name.endswith("+tta")]
    assert set(rows(study)) - set(averaged) == set(scored) and len(averaged) == 4
    assert study.folds.shape == (1, 24)


def test_parameters_are_counted_in_all_and_trained(study: hf.Study) -> None:
    for place, widths in (("small", (3, 4, 6)), ("tiny", (6, 8, 12))):
        counts = rows(study)[f"{place}/gap+scratch"]["parameters"]
        pairs = zip((3, *widths[:-1]), widths, strict=True)
        kernels, norms = sum(9 * i * o for i, o in pairs), sum(widths)
        head = 3 * (widths[-1] + 1)
        assert counts["trained"] == head + kernels + 2 * norms
        assert counts["total"] == head + kernels + 4 * norms


def test_the_answer_is_of_the_best_row_from_scratch(study: hf.Study) -> None:
    scores = {name: row["balanced_accuracy"]["mean"] for name, row in rows(study).items()}
    answer = study.results["verdict"]["finetune"]
    best = max(("small", "tiny"), key=lambda place: scores[f"{place}/gap+scratch"])
    assert answer["name"] == f"{best}/gap+scratch"
    lead = scores[answer["name"]] - scores[f"{best}/gap"]
    assert answer["difference"]["mean"] == pytest.approx(lead)
    assert answer["sentence"].startswith(f"With {best}, training from scratch ")
    assert "raining from scratch" in answer["headline"]
    lines = subjects(study.results)
    sizes = "without a head, small has 457 parameters, tiny 1,562"
    assert lines["Backbones"] == sizes and len(lines) == 5
    backbones = {part["backbone"] for part in study.results["finetune"]["parts"]}
    assert backbones == {"small", "tiny"}


def test_the_model_is_of_the_recommended_backbone(study: hf.Study, tmp_path: Path) -> None:
    run = study.save(tmp_path / "run")
    image = study.index.source.root / study.index.paths[0]
    assert hf.Classifier.load(run / "model.keras").predict_proba([image]).shape == (1, 3)
    page = (run / "report.html").read_text("utf-8")
    assert "the frozen head on its backbone" in page and "scratch of tiny trains all layers" in page


def test_the_command_repeats_it(
    study: hf.Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = study.results["settings"]["command"].split()
    assert main([*command[1:], "--json", "--out", str(tmp_path / "run")]) == 0
    again = json.loads(capsys.readouterr().out)
    scores = {row["name"]: row["balanced_accuracy"]["mean"] for row in again["candidates"]}
    assert scores == {name: row["balanced_accuracy"]["mean"] for name, row in rows(study).items()}


@pytest.mark.slow
def test_random_weights_of_a_named_backbone_are_told_and_trained(photos: Path) -> None:
    listener = Listener()
    settings = {**SETTINGS, "preprocessing": None, "views": 1, "epochs": 1, "callbacks": listener}
    settings |= {"learning_rate": 1e-3, "unfreeze": "none", "size": 32, "weights": "random"}
    study = hf.finetune(photos, backbone="VGG16", **settings)
    assert listener.has_line("WARNING: VGG16 has RANDOM weights")
    assert list(rows(study)) == ["gap", "gap+scratch"]
    assert rows(study)["gap+scratch"]["parameters"]["trained"] == 14_714_688 + 3 * 513


def test_nothing_to_train_is_refused(photos: Path) -> None:
    with pytest.raises(UsageError, match="`unfreeze` must be one to 5 parts"):
        hf.finetune(photos, unfreeze="none")
    with pytest.raises(UsageError, match="`backbone` must be one backbone"):
        hf.lr_find(photos, backbone="MobileNetV2,VGG16", weights="random")
