"""``headfit finetune`` as a user meets it: help, wrong calls, and stopping at any time."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import tunable
from headfit.cli.main import main
from headfit.util.cache import RUNS

Capture = pytest.CaptureFixture[str]
SMALL = ["--preprocessing", "tf", "--augment", "hflip,shift0.1", "--views", "2", "--folds", "3"]
SMALL += ["--learning-rate", "1e-2,1e-3", "--batch-size", "8", "--epochs", "3"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finetune")
    tunable.save(folder / "tiny.keras")
    tunable.write_folder(folder / "photos", 8)
    return folder


def call(world: Path, *more: str, source: str = "photos") -> list[str]:
    backbone = ["--backbone", str(world / "tiny.keras")]
    return ["finetune", str(world / source), *backbone, *SMALL, *more]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--unfreeze", "4"], ["--unfreeze", "from 1 to 3", "relu0, relu1"]),
        (["--unfreeze", "0"], ["from 1 to 3"]),
        (["--unfreeze", "conv9"], ["There is no such layer", "conv9"]),
        (["--unfreeze", ","], ["--unfreeze must be one to 5 parts"]),
        (["--augment", "hflip,swirl"], ["swirl"]),
        (["--augment", "rotate900"], ["rotate"]),
        (["--views", "0"], ["--views", "whole number of at least 1"]),
        (["--views", "9", "--augment", "hflip"], ["--views must be at most 2"]),
        (["--learning-rate", "fast"], ["--learning-rate", "one to three numbers", "'fast'"]),
        (["--learning-rate", "1e-3,99"], ["--learning-rate", "up to 10"]),
        (["--learning-rate", "1,2,3,4"], ["one to 3"]),
        (["--epochs", "0"], ["--epochs", "at least 1"]),
        (["--batch-size", "0"], ["--batch-size"]),
        (["--label-smoothing", "1"], ["--label-smoothing", "from 0 to 0.9"]),
        (["--mixup", "-1"], ["--mixup"]),
        (["--tta", "--views", "1"], ["--tta", "--views"]),
        (["--tta", "--augment", "none"], ["--tta"]),
        (["--head", "gap,flatten"], ["--head"]),
        (["--head", "pool"], ["pool"]),
        (["--folds", "2"], ["--folds"]),
        (["--backbone", "MobileNet"], ["--preprocessing applies to custom backbones only"]),
        (["--weights", "random"], ["--weights does not apply"]),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("--") else "",
)
def test_a_wrong_call_is_one_line_and_writes_nothing(
    options: list[str], words: list[str], world: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "out"
    assert main([*call(world, *options), "--out", str(out)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    last = captured.err.strip().splitlines()[-1]
    assert "Traceback" not in captured.err
    assert all(word in last for word in words), last
    assert not out.exists() or not list(out.glob("[!p]*"))  # but for the progress of the attempt


def test_a_head_that_does_not_suit_is_refused_before_the_pass(
    world: Path, tmp_path: Path, fresh_home: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADFIT_HOME", str(fresh_home))
    image = keras.Input((32, 32, 3))
    maps = layers.ReLU()(layers.Conv2D(4, 3, 8, name="a")(image))
    maps = layers.Conv2D(4, 3, 2, "same", name="b")(maps)  # 2×2
    outputs = layers.Dense(3)(layers.GlobalAveragePooling2D()(maps))
    keras.Model(image, outputs).save(tmp_path / "coarse.keras")
    arguments = call(world, "--backbone", str(tmp_path / "coarse.keras"), "--head", "spp")
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    assert "spp" in capsys.readouterr().err.strip().splitlines()[-1]
    assert not list(fresh_home.rglob("block-*"))


def test_views_that_do_not_fit_the_disk_stop_before_the_pass(
    world: Path,
    fresh_home: Path,
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from collections import namedtuple  # noqa: PLC0415

    from headfit.features import extract_views  # noqa: PLC0415

    usage = namedtuple("usage", "total used free")(10**9, 10**9, 100_000)
    monkeypatch.setattr(extract_views.shutil, "disk_usage", lambda _: usage)
    monkeypatch.setenv("HEADFIT_HOME", str(fresh_home))
    more = ("--augment", "shift0.05", "--views", "9", "--out", str(tmp_path / "out"))
    assert main(call(world, *more)) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("Error: The feature maps of 9 views of 24 images need")
    assert re.search(r"Set --views \d or fewer, or set the environment variable HEADFIT_HOME", last)
    assert not (tmp_path / "out" / "model.keras").exists()


def test_help_names_each_group(capsys: Capture) -> None:
    assert main(["finetune", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    groups = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert {"Data:", "Backbone:", "Heads:", "Training:", "Views:", "Protocol:"} <= set(groups)
    assert max(map(len, lines)) <= 100


def compare(world: Path, out: Path) -> None:
    arguments = ["compare", str(world / "photos"), "--backbone", str(world / "tiny.keras")]
    arguments += ["--preprocessing", "tf", "--heads", "gap,gmp", "--folds", "3", "--quick"]
    assert main([*arguments, "--no-where", "--no-curve", "--seed", "5", "--out", str(out)]) == 0


def test_a_comparison_is_gone_on_from_and_options_win(
    world: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(world, tmp_path / "run")
    before = json.loads((tmp_path / "run" / "results.json").read_text())
    capsys.readouterr()
    quick = [*SMALL[2:], "--learning-rate", "1e-2", "--epochs", "1", "--json"]
    arguments = ["finetune", str(tmp_path / "run"), *quick, "--out", str(tmp_path / "tuned")]
    assert main(arguments) == 0
    results = json.loads(capsys.readouterr().out)
    head = before["verdict"]["recommended"]
    assert results["candidates"][0]["name"] == head
    settings = results["settings"]
    for name in ("seed", "backbone", "preprocessing", "source", "rope", "class_weight"):
        assert settings[name] == before["settings"][name], name
    other = {"gap": "gmp", "gmp": "gap"}[head]
    assert main([*arguments, "--head", other, "--seed", "6"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert results["settings"]["seed"] == 6
    assert results["candidates"][0]["name"] == other
    # a run from elsewhere is not believed
    for note in RUNS.folder.iterdir():
        note.unlink()
    assert main(arguments) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "was not written on this machine" in last


@pytest.mark.parametrize("content", ["{", "{}", '{"schema": "other/1"}', "[]"])
def test_a_damaged_run_is_one_line(tmp_path: Path, capsys: Capture, content: str) -> None:
    (tmp_path / "results.json").write_text(content)
    assert main(["finetune", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert "Traceback" not in err and "results.json" in err.strip().splitlines()[-1]


def start(world: Path, home: Path, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "headfit", *call(world, "--out", str(out))],
        env=os.environ | {"HEADFIT_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def files_of(home: Path) -> int:
    return len(list((home / "tuning").rglob("*.npz")))


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_a_stopped_run_goes_on_to_the_same_results(
    world: Path, tmp_path: Path, fresh_home: Path
) -> None:
    """Ctrl-C and kill −9 at random moments of training, then the same command."""
    whole_home = tmp_path / "whole"
    whole_home.mkdir(mode=0o700)
    (whole_home / "graphs").symlink_to(fresh_home / "graphs")
    out, err = start(world, whole_home, tmp_path / "undisturbed").communicate()
    assert "Fine-tuning" in out, err
    rng = np.random.default_rng()
    for number in (signal.SIGINT, signal.SIGKILL, signal.SIGKILL):
        process = start(world, fresh_home, tmp_path / "out")
        begun = files_of(fresh_home)
        while files_of(fresh_home) <= begun and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.5))
        process.send_signal(number)
        _, err = process.communicate()
        assert process.returncode in (0, 130 if number == signal.SIGINT else -number), err
        assert "Traceback" not in err
    out, err = start(world, fresh_home, tmp_path / "out").communicate()
    assert "Fine-tuning" in out, err
    found, expected = (scores(tmp_path / name) for name in ("out", "undisturbed"))
    assert found == expected
    table = (tmp_path / "out" / "predictions.csv").read_text()
    assert table == (tmp_path / "undisturbed" / "predictions.csv").read_text()


def scores(run: Path) -> list[Any]:
    results = json.loads((run / "results.json").read_text())
    rows = results["candidates"]
    kept = ("name", "balanced_accuracy", "log_loss", "warnings")
    return [[row[name] for name in kept] for row in rows] + [results["verdict"]["recommended"]]
