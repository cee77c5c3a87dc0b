"""``headfit explain`` as a user meets it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import classifiers
from headfit.cli.main import main
from headfit.model.metadata import kept_path

HOSTILE = ("<script>", "../up", "[red]x", "top right")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model whose classes have hostile names, its images, and a broken one."""
    root = tmp_path_factory.mktemp("explain")
    model = classifiers.corner_model("flatten")
    classifiers.write(model, "flatten", root / "model.keras", HOSTILE)
    classifiers.write(model, "flatten", root / "other.keras", (*HOSTILE[:3], "another"))
    images, _ = classifiers.corner_images(1, seed=3)
    (root / "photos").mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(root / "photos" / f"{number} [b]&;.png")
    (root / "photos" / "9.jpg").write_bytes(b"no image")
    return root


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["explain", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_json_pictures_and_a_broken_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = place / "pictures"
    arguments = [str(place / "model.keras"), str(place / "photos"), "--out", str(out)]
    code, text, _ = _run(capsys, *arguments, "--json", "--faithfulness")
    assert code == 0
    found: dict[str, Any] = json.loads(text)
    assert found["schema"] == "headfit.explanation/1"
    *good, broken = found["explanations"]
    assert [each["class"] for each in good] == list(HOSTILE)
    for each in good:
        total = np.sum(each["map"]) + each["bias"]
        assert total == pytest.approx(each["logit"], abs=1e-4 * max(1, abs(each["logit"])))
        assert each["method"] == "exact"
        assert Path(each["file"]).parent == out
    assert broken["map"] is None
    assert broken["error"].startswith("not a JPEG, PNG")
    assert found["faithfulness"]["images"] == 4
    written = sorted(path.name for path in out.iterdir())
    assert written == [
        "0001-0_b-script.png",
        "0002-1_b-up.png",
        "0003-2_b-red_x.png",
        "0004-3_b-top_right.png",
        "sheet.png",
    ]
    with Image.open(out / "sheet.png") as sheet:
        # the sheet has colours of both signs
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    warmth = pixels[..., 0] - pixels[..., 2]
    assert warmth.max() > 60
    assert warmth.min() < -60


@pytest.mark.parametrize("names", ["gap", "gap,flatten"])
def test_a_head_that_was_kept_stands_beside_the_models_own(
    place: Path, capsys: pytest.CaptureFixture[str], names: str
) -> None:
    kept = kept_path(place, "gap")
    kept.parent.mkdir(exist_ok=True)
    if not kept.exists():
        classifiers.write(classifiers.corner_model("gap"), "gap", kept, HOSTILE)
    arguments = [str(place / "model.keras"), str(place / "photos" / "0 [b]&;.png")]
    out = str(place / "kept")
    code, text, _ = _run(capsys, *arguments, "--compare", names, "--out", out, "--json")
    assert code == 0
    found = json.loads(text)
    heads = [found["head"], found["compared"]["head"]]
    assert heads == (["gap", "flatten"] if "," in names else ["flatten", "gap"])
    (one,) = found["explanations"]
    assert one["class"] == one["compared"]["class"]
    for each in (one, one["compared"]):
        assert np.sum(each["map"]) + each["bias"] == pytest.approx(each["logit"], abs=1e-3)
    assert one["map"] != one["compared"]["map"]


def test_two_models_side_by_side(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, out = str(place / "model.keras"), place / "pair"
    image = str(place / "photos" / "0 [b]&;.png")
    code, text, _ = _run(capsys, model, image, "--compare", model, "--out", str(out))
    assert code == 0
    assert text.count("flatten") == 3  # a row for each model and what its method is
    assert text.count("<script>") == 2
    single = main(["explain", model, image, "--out", str(place / "one")])
    assert single == 0
    widths = []
    for folder in (out, place / "one"):
        with Image.open(folder / "sheet.png") as sheet:
            widths.append(sheet.width)
    assert widths[0] > widths[1]


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["model.keras", "photos", "--class", "skript"], 2, "Unknown class 'skript'"),
        (["model.keras", "photos", "--compare", "other.keras"], 2, "Unknown class 'top right'"),
        (["model.keras", "photos", "--compare", "gem"], 2, "Run compare again with --keep gem"),
        (
            ["model.keras", "photos", "--compare", "flatten,flatten,flatten"],
            2,
            "must be one or two heads",
        ),
        (
            ["model.keras", "photos", "--compare", "flatten"],
            2,
            "must be another head",
        ),
        (
            ["model.keras", "photos", "--compare", "far/other.keras"],
            2,
            "an existing model.keras",
        ),
        (["model.keras", "absent"], 2, "'absent' does not exist"),
        (["absent.keras", "photos"], 2, "'absent.keras' is not a file"),
        (["photos/9.jpg", "photos"], 1, "is not a .keras model that headfit can read"),
        (["model.keras", "photos", "--out", "model.keras"], 2, "must be a folder, not a file"),
    ],
)
def test_errors_are_one_line(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    expected: str,
) -> None:
    monkeypatch.chdir(place)
    found, out, err = _run(capsys, *arguments)
    assert (found, out) == (code, "")
    assert expected in err.splitlines()[-1]
    assert not (place / "headfit-explain").exists()


def test_nothing_readable_is_a_failure(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken, out = str(place / "photos" / "9.jpg"), place / "none"
    code, text, _ = _run(capsys, str(place / "model.keras"), broken, "--out", str(out))
    assert code == 1
    assert "not a JPEG" in text
    assert not out.exists()


def test_images_in_an_archive_and_of_a_table(
    place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    archive = shutil.make_archive(str(tmp_path / "photos"), "zip", place / "photos")
    (place / "new.csv").write_text("path\nphotos/0 [b]&;.png\nlost.png\n")
    model = str(place / "model.keras")
    images = [archive, str(place / "new.csv")]
    out = ["--out", str(tmp_path / "pictures"), "--json"]
    code, text, _ = _run(capsys, model, *images, *out, "--faithfulness")
    assert code == 0
    found = json.loads(text)
    assert found["faithfulness"]["images"] == 5
    each = found["explanations"]
    assert each[0]["path"] == f"{archive}/0 [b]&;.png"
    assert each[0]["map"] == each[5]["map"]
    assert each[6]["error"] == "no such file"
    assert Path(each[0]["file"]).is_file()
