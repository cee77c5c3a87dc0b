"""``headfit inspect`` as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from headfit.cli.main import main

Capture = pytest.CaptureFixture[str]


def flat_model(path: Path) -> Path:
    layers = keras.layers
    stack = [keras.Input((8, 8, 3)), layers.Conv2D(4, 3, name="[red]"), layers.Flatten()]
    keras.Sequential([*stack, layers.Dense(2)]).save(path)
    return path


def test_a_file_as_json(tmp_path: Path, capsys: Capture) -> None:
    path = flat_model(tmp_path / "a.keras")
    assert main(["inspect", str(path), "--classes", "3", "--head", "gap", "--json"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert captured.err == ""
    assert document["schema"] == "headfit.inspection/1"
    assert document["map_shape"] == [6, 6, 4]
    assert document["parameters"] == {"backbone": 112, "head": 290, "total": 402}
    assert document["alternatives"] == [
        {"head": "gap", "features": 4, "parameters": {"head": 15, "total": 127}}
    ]
    assert [f["code"] for f in document["findings"]] == ["softmax_missing", "class_count"]


def test_a_file_for_people(tmp_path: Path, capsys: Capture) -> None:
    assert main(["inspect", str(flat_model(tmp_path / "a.h5"))]) == 0
    out = capsys.readouterr().out
    text = " ".join(out.split())
    assert "at 8 px, 2 classes: feature map 6×6×4" in text
    assert "Flatten → Dense(2) holds 290 of 402 parameters, 72 %; with gap" in text
    assert "! softmax_missing: 'dense" in text
    assert "? trainable_changed_after_compile: Cannot be checked" in text
    assert "[red]" in text
    assert "gap-1024-1024-512" in text


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["mobilnet_v2"], 2, "Did you mean 'MobileNetV2'"),
        (["VGG16", "--head", "flaten"], 2, "Did you mean 'flatten'"),
        (["VGG16", "--size", "3"], 2, "32 to 2048"),
        (["VGG16", "--classes", "1"], 2, "at least 2"),
        (["VGG16", "--size", "big"], 2, "'big'"),
        (["absent.keras"], 2, "does not exist"),
        ([__file__], 1, "neither a zip archive nor HDF5"),
    ],
)
def test_a_wrong_call_is_one_line(
    arguments: list[str], code: int, words: str, capsys: Capture
) -> None:
    assert main(["inspect", *arguments]) == code
    captured = capsys.readouterr()
    assert words in captured.err.strip().splitlines()[-1]
    assert captured.out == ""
    assert "Traceback" not in captured.err


def test_keras_stays_out_of_the_main_process() -> None:
    code = (
        "import sys; from headfit.cli.main import main;"
        "assert main(['inspect', 'MobileNet', '--size', '32']) == 0;"
        "print(sorted({'keras', 'jax', 'openvino', 'scipy', 'sklearn'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "feature map 1×1×1024" in done.stdout
