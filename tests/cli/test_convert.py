"""``headfit convert`` as a user meets it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
from keras import layers

import headfit as hf
from headfit import Classifier
from headfit.cli.main import main
from photos import write_folder
from small_models import SIDE, K, backbone, classifier, dense, save

if TYPE_CHECKING:
    from trained_model import Trained

Capture = pytest.CaptureFixture[str]


def test_a_model_of_ones_own_with_images(tmp_path: Path, capsys: Capture) -> None:
    photos = write_folder(tmp_path / "photos", 8)
    (photos / "red" / "broken.jpg").write_bytes(b"no image")
    path = save(classifier(backbone(), dense("softmax"), scale=1 / 255), tmp_path)
    arguments = ["--to", "flatten", "--data", str(photos), "--json"]
    assert main(["convert", str(path), *arguments]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["schema"] == "headfit.conversion/1"
    assert document["out"] == str(tmp_path / "model-flatten.keras")
    assert (document["exact"], document["headfit"], document["saved"]) == (True, False, "converted")
    assert document["change"]["output"] <= 1e-5
    own, other = (document["parameters"][when] for when in ("before", "after"))
    assert (own["top"], other["top"]) == (7 * K, 97 * K)
    assert other["total"] - own["total"] == 90 * K
    data = document["data"]
    assert data["before"] == data["after"]
    assert (data["images"], data["scored_on"], data["classes_assumed"]) == (24, "all images", True)
    assert [each["path"] for each in data["skipped"]] == ["red/broken.jpg"]
    assert data["position_share"] == pytest.approx(0, abs=1e-6)
    assert data["refitted"]["accuracy"] >= 0.8  # colours are easy
    assert any("pixels from 0 to 255" in remark for remark in document["remarks"])
    converted = keras.saving.load_model(document["out"], safe_mode=True)
    images = np.random.default_rng(0).uniform(0, 255, (4, SIDE, SIDE, 3)).astype(np.float32)
    both = [keras.saving.load_model(path), converted]
    before, after = (np.asarray(model(images, training=False)) for model in both)
    assert np.abs(before - after).max() <= 1e-5


def test_images_may_be_in_an_archive_or_named_by_a_table(tmp_path: Path, capsys: Capture) -> None:
    photos = write_folder(tmp_path / "photos", 4)
    path = save(classifier(backbone(), dense("softmax"), scale=1 / 255), tmp_path)
    names = [each.relative_to(photos).as_posix() for each in sorted(photos.glob("*/*"))]
    rows = [f"{name},{name.split('/')[0]},{number % 6}" for number, name in enumerate(names)]
    (tmp_path / "photos.csv").write_text("\n".join(["path,kind,group", *rows]))
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", photos)
    table = [str(tmp_path / "photos.csv"), "--label-column", "kind", "--root", str(photos)]
    found = []
    for number, data in enumerate(([archive], table)):
        out = ["--out", str(tmp_path / f"{number}.keras"), "--json"]
        assert main(["convert", str(path), "--to", "flatten", "--data", *data, *out]) == 0
        captured = capsys.readouterr()
        found.append(json.loads(captured.out)["data"])
    assert "6 groups from the image index" in captured.err
    packed, listed = found
    assert packed["images"] == listed["images"] == len(names)
    for key in ("before", "after", "position_share"):
        assert listed[key] == pytest.approx(packed[key])


@pytest.mark.slow
def test_a_model_of_two_parts_in_bfloat16_with_augmentation(tmp_path: Path) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.utils.set_random_seed(0)
    try:
        layers = keras.layers
        base = [layers.RandomFlip(), layers.Conv2D(4, 3, 4), layers.GlobalAveragePooling2D()]
        head = keras.Sequential([keras.Input((4,)), layers.Dense(2, "softmax", dtype="float32")])
        start = keras.Input((32, 32, 3))
        first = keras.Sequential([start, *base], name="first")
        keras.Sequential([keras.Input((32, 32, 3)), first, head]).save(tmp_path / "two.keras")
    finally:
        keras.config.set_dtype_policy("float32")
    told = hf.Callback()
    lines: list[str] = []
    told.on_message = lines.append  # type: ignore[method-assign]
    source, out = tmp_path / "two.keras", tmp_path / "new.keras"
    done = hf.convert(source, "flatten", out=out, callbacks=told)
    assert done.exact
    assert not any("Keras runs it" in line for line in lines)


def test_a_table_for_people_and_nothing_overwritten(tmp_path: Path, capsys: Capture) -> None:
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.Dense(8, "relu")(layers.Flatten()(backbone()(image)))
    path = save(keras.Model(image, dense("softmax")(x)), tmp_path, "h5")
    before = path.read_bytes()
    call = ["convert", str(path), "--to", "low_rank", "--rank", "1", "--out"]
    out = tmp_path / "new" / "small.keras"
    assert main([*call, str(out)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "flatten on a map of 4×4×6, 8 units" in text
    assert "low_rank, rank 1 192 " in text
    assert "of the squared norm of the weights remains" in text
    written = out.read_bytes()
    assert main([*call, str(out)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert (path.read_bytes(), out.read_bytes()) == (before, written)
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["model.h5", "new", "small.keras"]


@pytest.mark.slow
def test_headfits_own_model_stays_one(trained: Trained, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "converted.keras"
    call = ["convert", str(trained.model), "--to", "low_rank", "--shared", "--rank", "64"]
    call += ["--data", str(trained.root / "discs"), "--refit", "--out", str(out), "--json"]
    assert main(call) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["headfit"], document["saved"]) == (True, "refitted")
    old, said = Classifier(trained.model), []
    new = Classifier(out, said.append)
    assert (new.classes, new.contract) == (old.classes, old.contract)
    assert new.record.head == "low_rank_shared"
    found = list(new.iter_predictions(trained.fresh))
    assert not any("OpenVINO cannot" in line for line in said)  # it passed its own test
    truth = [path.parent.name for path in trained.fresh]
    best = [new.classes[int(each.probabilities.argmax())] for each in found if not each.error]
    right = np.mean([a == b for a, b in zip(best, truth, strict=True)])
    assert right >= 0.6 and document["data"]["refitted"]["accuracy"] >= 0.6
    assert all(each.calibrated is not None for each in found)


def arguments_of(folder: Path, extra: list[str]) -> list[str]:
    (folder / "model.keras").write_bytes(b"PK, but no zip archive")
    (folder / "there.keras").touch()
    return ["convert", str(folder / "model.keras"), *extra]


@pytest.mark.parametrize(
    ("extra", "code", "words"),
    [
        (["--to", "gem"], 2, "--to must be one of gap, flatten, low_rank. Received: 'gem'"),
        (["--to", "gap", "--rank", "2"], 2, "--rank applies to --to low_rank only"),
        (["--to", "gap", "--shared"], 2, "--shared applies to --to low_rank only"),
        (["--to", "gap", "--refit"], 2, "--refit needs images"),
        (["--to", "gap", "--preprocessing", "tf"], 2, "--preprocessing needs images"),
        (["--to", "gap", "--data", ".", "--preprocessing", "x"], 2, "must be one of none, tf"),
        (["--to", "gap", "--out", "x.h5"], 2, "--out must be a file name that ends in .keras"),
        (["--to", "gap", "--seed", "-1"], 2, "--seed must be an integer from 0 to"),
        (["--to", "gap", "--out", "there.keras"], 2, "exists already"),
        (["--to", "gap"], 1, "model.keras' is a zip archive that was cut off"),
        ([], 2, "--to"),
    ],
)
def test_a_wrong_call_is_one_line_and_leaves_nothing(
    extra: list[str],
    code: int,
    words: str,
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = arguments_of(tmp_path, extra)
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert main(call) == code
    captured = capsys.readouterr()
    assert words in captured.err.strip().splitlines()[-1]
    assert captured.out == "" and "Traceback" not in captured.err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def refused(path: Path, capsys: Capture, *extra: str) -> str:
    assert main(["convert", str(path), "--to", *extra]) == 1
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_what_is_there_already_and_classes_that_do_not_fit(tmp_path: Path, capsys: Capture) -> None:
    path = save(classifier(backbone(), dense("softmax")), tmp_path)
    assert "has gap already" in refused(path, capsys, "gap")
    photos: Any = write_folder(tmp_path / "photos", 1)
    (photos / "red").rename(photos / "green" / "inner")
    said = refused(path, capsys, "flatten", "--data", str(photos))
    assert "has 2 classes, the model has 3" in said
    assert not list(tmp_path.glob("*-*.keras"))
