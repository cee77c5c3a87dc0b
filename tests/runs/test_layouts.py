"""What a run makes of folders as people have them."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headfit as hf
from headfit.cli.main import main
from listener import Listener
from photos import CLASSES, write_folder, write_photo

Capture = pytest.CaptureFixture[str]
BARE: dict[str, Any] = {
    **{"size": 64, "protocol": "quick", "folds": 3},
    **{"heads": "gap", "where": False, "curve": False},
}
COMPARE = ["--size", "64", "--quick", "--folds", "3", "--heads", "gap", "--no-where", "--no-curve"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("layouts") / "photos", 4)


def test_images_without_a_label_are_predicted_at_the_end(photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    shutil.copytree(photos, root / "train")
    rng = np.random.default_rng(1)
    for number in range(3):
        write_photo(root / "test" / f"{number}.jpg", number, rng)
    (root / "test" / "9.jpg").write_bytes(b"\xff\xd8\xff not really")
    listener = Listener()
    study = hf.compare(root, callbacks=listener, **BARE)
    run = study.save(tmp_path / "run")
    assert listener.has_line("3 classes (12 images): 'blue' 4, 'green' 4, 'red' 4.")
    assert listener.has_line("4 images have no label: predicted at the end, in test_predictions")
    assert listener.has_line("WARNING: 1 image without a label could not be read")
    with (run / "test_predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["path"] for row in rows] == [f"test/{number}.jpg" for number in range(3)]
    paths = [root / row["path"] for row in rows]
    probabilities = hf.Classifier(run / "model.keras").predict_proba(paths)
    shown = [[float(row[f"p_{name}"]) for name in CLASSES] for row in rows]
    np.testing.assert_allclose(shown, probabilities, atol=2e-3)
    assert [row["predicted"] for row in rows] == [CLASSES[k] for k in probabilities.argmax(axis=1)]
    unlabelled = study.results["unlabelled"]
    assert (unlabelled["images"], unlabelled["predicted"]) == (4, 3)
    replace(study, test_predictions="").save(run)
    assert not (run / "test_predictions.csv").exists()


def test_a_class_that_is_lost_while_reading_stops_the_run(photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    shutil.copytree(photos, root)
    for number in range(5):
        (root / "lost").mkdir(exist_ok=True)
        (root / "lost" / f"{number}.jpg").write_bytes(b"\xff\xd8\xff not really")
    with pytest.raises(hf.DataError, match=r"can be read: 'lost' \(.*skip_empty_classes=True"):
        hf.compare(root, **BARE)
    listener = Listener()
    study = hf.compare(root, skip_empty_classes=True, callbacks=listener, **BARE)
    assert listener.has_line("Left out of class 'lost': 5 files (")
    assert listener.has_line("WARNING: 'lost' is no class")
    assert study.index.classes == CLASSES
    assert set(study.results["images"]["classes"]) == set(CLASSES)
    assert study.results["images"]["skipped"] == 5
    assert "--skip-empty-classes" in study.results["settings"]["command"]
    assert study.classifier().classes == CLASSES
    with pytest.raises(hf.DataError, match="can be read: 'lost'"):
        hf.rank(root, "efficientnet_lite0", size=64)
    ranking = hf.rank(root, "efficientnet_lite0", size=64, skip_empty_classes=True)
    assert set(ranking.results["images"]["classes"]) == set(CLASSES)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="their names are Unicode")
def test_work_in_the_folder_of_the_images_changes_nothing_whatever_the_names(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    root = tmp_path / "photos"
    shutil.copytree(photos, root)
    (root / "red").rename(os.fsdecode(os.fsencode(root) + b"/bo\xeete"))
    (root / "blue").rename(root / '=HYPERLINK("x")')
    (root / "green" / "00.jpg").rename(os.fsdecode(os.fsencode(root) + b"/green/caf\xe9.jpg"))
    (root / "green" / "01.jpg").rename(root / "green" / "line\nbreak, <b>&;.jpg")
    monkeypatch.chdir(root)
    assert main(["compare", ".", *COMPARE, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(["explain", "headfit-run/model.keras", "green"]) == 0
    assert len(list((root / "headfit-explain").glob("*.png"))) == 5
    capsys.readouterr()
    assert main(["compare", ".", *COMPARE, "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["fingerprint"] == first["fingerprint"]
    assert "'headfit-explain' (written by headfit itself)" in captured.err
    assert "'headfit-run' (written by headfit itself)" in captured.err
    table = tmp_path / "predictions.csv"
    assert main(["predict", "headfit-run/model.keras", ".", "--csv", str(table), "--json"]) == 0
    predictions = json.loads(capsys.readouterr().out)["predictions"]
    assert len(predictions) == first["images"]["used"] == 12
    assert not any(each["error"] for each in predictions)
    with table.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert sum("line\nbreak" in row["path"] for row in rows) == 1
    assert (root / "headfit-run" / "report.html").read_bytes().decode("utf-8")


def test_the_command_line_names_its_own_options(
    photos: Path, tmp_path: Path, capsys: Capture
) -> None:
    for site in ("siteA", "siteB"):
        shutil.copytree(photos, tmp_path / site)
    assert main(["compare", str(tmp_path), *COMPARE, "--out", str(tmp_path / "run")]) == 1
    error = capsys.readouterr().err
    assert "choose this with --no-splits" in error
    assert "choose this with --splits" in error
    (tmp_path / "siteA" / "empty").mkdir()
    arguments = ["rank", str(tmp_path), "--splits", "--backbone", "efficientnet_lite0"]
    assert main([*arguments, "--size", "64"]) == 1
    assert "leave them out with --skip-empty-classes" in capsys.readouterr().err


def test_links_that_lead_out_are_followed_on_demand(photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    shutil.copytree(photos, root)
    (root / "linked").symlink_to(photos / "red")
    assert "linked" in hf.ImageIndex.from_directory(root, follow_links=True).classes
    with pytest.raises(
        hf.DataError, match=r"'linked' \(1 × a link that points outside .*`follow_links=True`"
    ):
        hf.ImageIndex.from_directory(root)
    index = hf.ImageIndex.from_directory(root, skip_empty_classes=True)
    assert index.classes == CLASSES


def test_an_index_has_been_read_already(photos: Path) -> None:
    index = hf.ImageIndex.from_directory(photos)
    with pytest.raises(hf.UsageError, match="`splits` must be left out"):
        hf.compare(index, splits=True, **BARE)


def test_a_class_of_copies_of_one_picture_is_called_that(photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    shutil.copytree(photos, root)
    (root / "rare").mkdir()
    for number in range(4):
        shutil.copy(photos / "red" / "00.jpg", root / "rare" / f"{number}.jpg")
    with pytest.raises(hf.DataError) as caught:
        hf.compare(root, **BARE)
    said = str(caught.value)
    assert "'rare' holds 4 copies of one picture. Add images" in said
    assert "folds=" not in said


def test_a_class_with_too_few_images_is_named_with_remedies_that_work(
    photos: Path, tmp_path: Path
) -> None:
    root = tmp_path / "photos"
    shutil.copytree(photos, root)
    (root / "red" / "00.jpg").unlink()
    with pytest.raises(hf.DataError, match=r"'red' \(3\).* or set `folds=3`\.$"):
        hf.compare(root, **{**BARE, "folds": 4})
    (root / "red" / "01.jpg").unlink()
    with pytest.raises(hf.DataError, match=r"'red' \(2\).* leave them out\.$"):
        hf.compare(root, **BARE)


def test_a_picture_in_two_classes_is_said(photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    shutil.copytree(photos, root)
    shutil.copy(root / "red" / "00.jpg", root / "blue" / "copy.jpg")
    listener = Listener()
    hf.compare(root, callbacks=listener, **BARE)
    assert listener.has_line(
        "WARNING: 1 picture is in several classes, so a label must be wrong. The first: "
        "blue/copy.jpg and red/00.jpg"
    )
