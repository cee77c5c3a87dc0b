"""The examples run as they are written, and count what the question counted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import keras
import pytest

import headfit as hf
import mobilenet_question
import vgg16_question
import where_matters
from headfit.backbones.build import untrained
from headfit.samples import shapes
from photos import CLASSES, write_folder

EXAMPLES = Path(mobilenet_question.__file__).parent
WEIGHTS = EXAMPLES.parent.parent / "shared" / "weights"
MOBILENET = WEIGHTS / "mobilenet_1_0_224_no_top.weights.h5"
SMALL = ["--weights", "random", "--size", "64"]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("examples") / "photos", 8)


def test_the_first_model_of_the_question_has_its_parameters() -> None:
    with untrained():
        model = mobilenet_question.build(3, 224, None)
    assert model.count_params() == 5_854_403


def test_the_second_model_of_the_question_has_its_parameters() -> None:
    for pooling, each in (("flatten", 25_089), ("gap", 513)):
        with untrained():
            model = vgg16_question.build(7, 224, None, pooling)
        assert model.count_params() == 14_714_688 + 7 * each
        own = sum(int(keras.ops.size(weight)) for weight in model.trainable_weights)
        assert own == 7 * each


@pytest.mark.slow
def test_the_first_model_both_ways(photos: Path, capsys: Capture) -> None:
    mobilenet_question.main([str(photos), *SMALL, "--epochs", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Plain Keras: 5,854,403 parameters"
    assert lines[1].startswith("Accuracy on one fifth of the images: ")
    heads = {line.split(":")[0]: line.split(", ", 1)[1] for line in lines[2:5]}
    assert heads == {
        "gap-1024-1024-512": "5,854,403 parameters",
        "flatten": f"{3_228_864 + 2 * 2 * 1024 * 3 + 3:,} parameters",
        "gap": f"{3_228_864 + 1024 * 3 + 3:,} parameters",
    }
    assert "Use " in lines[5]


@pytest.mark.slow
@pytest.mark.skipif(MOBILENET.is_file(), reason="the notebook of this example trains it")
def test_the_first_model_trained_end_to_end(photos: Path, capsys: Capture) -> None:
    study = mobilenet_question.end_to_end(photos, 32, "random", 1)
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split(":")[0]: line.split(", ")[1] for line in lines[:3]}
    head = "gap-1024-1024-512"
    frozen = f"{5_854_403 - 3_228_864:,} trained parameters"
    trained = 5_854_403 - 21_888  # but the statistics of batch normalisations
    assert rows == {
        head: frozen,
        f"{head}+views": frozen,
        f"{head}+all": f"{trained:,} trained parameters",
    }
    assert study.results["finetune"]["parts"][0]["start"] is None
    assert lines[3].startswith("Fine-tuning the whole backbone ")


@pytest.mark.slow
def test_the_second_model_both_ways(photos: Path, capsys: Capture) -> None:
    vgg16_question.main([str(photos), *SMALL, "--epochs", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Plain Keras: {14_714_688 + 3 * (2 * 2 * 512 + 1):,} parameters"
    heads = {line.split(":")[0]: line.split(", ", 1)[1] for line in lines[2:4]}
    assert heads == {
        "flatten": f"{14_714_688 + 3 * 2049:,} parameters",
        "gap": f"{14_714_688 + 3 * 513:,} parameters",
    }
    assert "Flatten is" in lines[4]


@pytest.mark.slow
def test_own_images_from_the_folder_to_a_class(photos: Path, tmp_path: Path) -> None:
    new = [str(photos / name / "01.jpg") for name in CLASSES]
    call = [sys.executable, str(EXAMPLES / "own_images.py"), str(photos), *SMALL]
    call += ["--out", str(tmp_path / "run"), "--new", *new]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0] == str(hf.ImageIndex.from_directory(photos).counts())
    assert lines[-3:] == [f"{path}: {name}" for path, name in zip(new, CLASSES, strict=True)]
    assert (tmp_path / "run" / "results.json").is_file()
    assert any(line.startswith("Flatten minus gap: ") for line in lines)


@pytest.mark.slow
def test_flatten_is_necessary_where_the_place_is_the_class_and_only_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    # fewer images than the example has by itself
    monkeypatch.setattr(shapes, "PER_CLASS", {"train": 40, "test": 1})
    where_matters.main([str(tmp_path), "--size", "64"])
    where, what = capsys.readouterr().out.splitlines()
    assert where.startswith("where: necessary. Flatten is necessary here: it scores")
    assert what.startswith(("what: undecided. ", "what: not_necessary. ", "what: equivalent. "))


def test_every_example_is_listed() -> None:
    text = (EXAMPLES / "README.md").read_text("utf-8")
    for path in (*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.ipynb")):
        assert (f"({path.name})" in text) == (path.stem != "common")
