"""``headfit rank`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headfit.cli.main import main
from photos import write_folder

Capture = pytest.CaptureFixture[str]
LITE = "efficientnet_lite0"
TWO = ["--backbone", f"{LITE},{LITE}", "--weights", "imagenet,random", "--size", "64"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "photos", 4)


def test_people_get_a_table_and_what_to_do_next(photos: Path, capsys: Capture) -> None:
    assert main(["rank", str(photos), *TWO]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].startswith("12 images, 3 classes")
    assert any(line.startswith(f"→ {LITE}") for line in lines)
    assert any(line.startswith(f"≈ {LITE}") for line in lines)
    assert any(line.strip() == "random weights" for line in lines)
    assert all("●" in line for line in lines if line.startswith(("→ eff", "≈ eff")))
    assert f"Next: headfit compare {photos} --backbone {LITE} --size 64" in lines
    assert "RANDOM" in captured.err


def test_the_table_fits_a_terminal_of_80_columns(
    photos: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headfit.cli.console.PIPED_WIDTH", 80)
    assert main(["rank", str(photos), *TWO]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line.rstrip() for line in lines if line.startswith(("→", "≈", "─"))]
    assert max(map(len, rows)) <= 80
    assert sum("●" in row for row in rows) == 2


def test_json_is_the_only_thing_on_stdout(photos: Path, capsys: Capture) -> None:
    assert main(["rank", str(photos), *TWO, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "headfit.ranking/1"
    assert {row["weights"] for row in document["backbones"]} == {"imagenet", "random"}


@pytest.mark.slow
def test_what_cannot_run_is_listed_with_its_reason(photos: Path, capsys: Capture) -> None:
    bad = photos.parent / "bad.weights.h5"
    bad.write_bytes(b"nothing")
    call = ["rank", str(photos), "--size", "64"]
    assert main([*call, "--backbone", f"MobileNet,{LITE}", "--weights", f"{bad},imagenet"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Not ranked: MobileNet (bad.weights.h5 weights): " in out
    assert "does not fit MobileNet" in out
    assert main([*call, "--backbone", "MobileNet", "--weights", str(bad)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith("Error: ")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--backbone", "mobilnet_v2"], ["'mobilnet_v2'", "mean 'MobileNetV2'"]),
        (
            ["--backbone", f"{LITE},MobileNet", "--weights", "random,random,random"],
            ["--weights must be one for all backbones, or one for each of the 2."],
        ),
        (["--backbone", f"{LITE},{LITE}"], ["--backbone must be backbones that differ", LITE]),
        (["--backbone", ","], ["--backbone must be a name or a path"]),
        (["--size", "31"], ["31", "32 to 2048"]),
        (["--seed", "-1"], ["--seed", "-1"]),
        (["--engine", "fast"], ["'fast'", "openvino"]),
        (["--folds", "3"], ["--folds"]),
    ],
)
def test_a_wrong_call_is_one_line(
    options: list[str], words: list[str], photos: Path, capsys: Capture
) -> None:
    assert main(["rank", str(photos), *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    for word in words:
        assert word in captured.err.strip().splitlines()[-1]


def test_a_folder_that_is_not_there(tmp_path: Path, capsys: Capture) -> None:
    assert main(["rank", str(tmp_path / "absent")]) == 2
    assert "no folder" in capsys.readouterr().err
