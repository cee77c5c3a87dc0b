"""The command line as a user meets it: exit codes, one-line errors, clean output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headfit.cli.main import COMMANDS, main
from headfit.report.text import summary
from photos import CLASSES, write_folder

SMALL = [
    "--size",
    "64",
    "--quick",
    "--no-where",
    "--no-curve",
    "--folds",
    "3",
    "--heads",
    "gap,flatten",
]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "photos", 6)


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_shows_how_it_is_used(arguments: list[str], capsys: Capture) -> None:
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "Usage: headfit" in out
    assert "headfit demo" in out or "Examples:" in out


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--backbone", "mobilnet_v2"], 2, ["'mobilnet_v2'", "mean 'MobileNetV2'", "VGG16"]),
        (["--heads", "gap,flaten"], 2, ["'flaten'", "Did you mean 'flatten'", "gem"]),
        (["--heads", "gap-0"], 2, ["'gap-0'", "1 to 65536"]),
        (["--size", "31"], 2, ["31", "32 to 2048"]),
        (["--size", "big"], 2, ["--size", "'big'"]),
        (["--folds", "1"], 2, ["--folds", "1", "at least 3"]),
        (["--repeats", "0"], 2, ["--repeats", "0", "at least 1"]),
        (["--seed", "-1"], 2, ["--seed", "-1"]),
        (["--rope", "2"], 2, ["rope", "2"]),
        (["--weights", "nowhere.h5"], 2, ["'nowhere.h5'", "'imagenet'", "'random'"]),
        (["--engine", "fast"], 2, ["--engine must be one of auto, openvino, keras. ", "'fast'"]),
        (["--precision", "bf16"], 2, ["'bf16'", "float32, int8"]),
        (["--feature-dtype", "int8"], 2, ["'int8'", "float16, float32"]),
        (["--preprocessing", "0-1"], 2, ["'0-1'", "none, tf, caffe, torch"]),
        (["--fold", "3"], 2, ["Unknown option '--fold'. Did you mean '--folds'?"]),
        (["--folds", "many"], 2, ["--folds must be an integer. Received: 'many'."]),
        (["--rope", "wide"], 2, ["--rope must be a number. Received: 'wide'."]),
        (["--folds"], 2, ["--folds needs a value."]),
        (["more"], 2, ["unexpected extra argument (more). See headfit compare --help."]),
        (["--folds", "7"], 1, ["'blue' (6)", "7 folds"]),
    ],
)
def test_a_wrong_call_is_one_line(
    options: list[str], code: int, words: list[str], photos: Path, capsys: Capture
) -> None:
    out = photos.parent / "run"
    assert main(["compare", str(photos), "--out", str(out), *options]) == code
    err = capsys.readouterr().err
    last = err.strip().splitlines()[-1]
    for word in words:
        assert word in last
    assert "Traceback" not in err
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["comparre"], "Unknown command 'comparre'. Did you mean 'compare'?"),
        (["compare"], "SOURCE is missing. See headfit compare --help."),
        (["convert", "a.keras"], "--to is missing. See headfit convert --help."),
        (["predict", "a", "b", "--top", "0"], "--top must be an integer of at least 1."),
        (["ui", "run", "--port", "99999"], "--port must be an integer from 1 to 65535."),
        (["heads", "--map", "7,7"], "--map must be three positive integers, such as 7,7,1280."),
    ],
)
def test_errors_of_the_parser_read_like_all_others(
    arguments: list[str], words: str, capsys: Capture
) -> None:
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"Error: {words}")


def test_folders_that_hold_no_answer(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "empty").mkdir()
    write_folder(tmp_path / "one", 3)
    for name in CLASSES[1:]:
        for path in (tmp_path / "one" / name).iterdir():
            path.unlink()
    (tmp_path / "file.jpg").write_bytes(b"x")
    for name, code, word in [
        ("absent", 2, "no folder"),
        ("file.jpg", 2, "file"),
        ("empty", 1, "No images"),
        ("one", 1, "class"),
    ]:
        assert main(["compare", str(tmp_path / name), "--out", str(tmp_path / "run")]) == code
        captured = capsys.readouterr()
        errors = [line for line in captured.err.splitlines() if line.startswith("Error")]
        assert len(errors) == 1
        assert word in errors[0]
        assert captured.out == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_a_folder_without_permission_is_one_line(photos: Path, capsys: Capture) -> None:
    (photos / "red").chmod(0)
    assert main(["compare", str(photos), "--out", str(photos.parent / "run")]) == 1
    assert "red" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_found_before_the_work(
    photos: Path, capsys: Capture
) -> None:
    blocked = photos / "red" / "00.jpg" / "run"  # below a file: no one may write there, not root
    assert main(["compare", str(photos), "--out", str(blocked), *SMALL]) == 1
    err = capsys.readouterr().err
    assert "Cannot write" in err
    assert "backbone" not in err


@pytest.mark.slow
def test_a_full_disk_leaves_nothing_half_written(photos: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for a disk that is full."""
    run = tmp_path / "run"
    arguments = ["compare", str(photos), "--out", str(run), *SMALL]
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        f"from headfit.cli.main import run; run({arguments!r})"
    )
    environment = os.environ | {"HEADFIT_HOME": str(tmp_path / "home")}
    environment["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # it would keep files that were cut off
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert [path for path in tmp_path.rglob("*") if path.name.startswith(".tmp-")] == []
    assert [path.name for path in run.iterdir()] == ["progress.json"]
    found = json.loads((run / "progress.json").read_text())
    assert (found["state"], "Cannot write" in found["error"]) == ("failed", True)


@pytest.mark.slow
def test_json_is_the_only_thing_on_stdout(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = _headfit("compare", str(photos), "--out", str(run), "--json", *SMALL)
    assert json.loads(done.stdout) == json.loads((run / "results.json").read_text())
    model = str(run / "model.keras")
    (photos / "red" / "bad.png").write_bytes(b"no picture")
    done = _headfit("predict", model, str(photos / "red"), "--json", "--top", "2")
    document = json.loads(done.stdout)
    assert document["schema"] == "headfit.predictions/1"
    by_name = {Path(p["path"]).name: p for p in document["predictions"]}
    assert list(by_name) == sorted(by_name)
    assert by_name["bad.png"]["error"]
    assert by_name["bad.png"]["class"] is None
    good = by_name["00.jpg"]
    assert good["error"] is None
    assert good["top"][0] == {name: good[name] for name in ("class", "probability")}
    assert len(good["top"]) == 2


@pytest.mark.slow
def test_people_get_a_table_and_the_verdict(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = _headfit("compare", str(photos), "--out", str(run), *SMALL)
    results = json.loads((run / "results.json").read_text())
    text = " ".join(done.stdout.split())
    assert text.startswith(" ".join(summary.answer(results["verdict"]).split()))
    assert summary.advice(results) in text
    header = done.stdout[: done.stdout.index("───")]
    for words in ("head", "acc. %", "interval", "loss", "parameters", "model", "points", "train"):
        assert words in header
    assert max(map(len, header.splitlines())) <= 120
    assert done.stdout.count("●") == 2
    assert {path.name for path in run.iterdir()} == {
        *("report.html", "results.json", "model.keras", "predictions.csv", "suspects.csv"),
        "progress.json",
    }
    table = tmp_path / "new.csv"
    pattern = str(photos / "*" / "0[01].jpg")
    done = _headfit("predict", str(run / "model.keras"), pattern, "--csv", str(table))
    rows = table.read_text().splitlines()
    assert rows[0] == "path,predicted,p_blue,p_green,p_red,calibrated,set,outlier,error"
    assert len(rows) == 7
    assert "00.jpg" in done.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_stops_cleanly_and_the_next_run_goes_on(tmp_path: Path, fresh_home: Path) -> None:
    folder = write_folder(tmp_path / "photos", 80)
    arguments = ["compare", str(folder), "--out", str(tmp_path / "run"), "--size", "224"]
    arguments += ["--quick", "--heads", "gap", "--json", "--no-where", "--no-curve"]
    environment = os.environ | {"HEADFIT_HOME": str(fresh_home)}
    process = subprocess.Popen(
        [sys.executable, "-m", "headfit", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while _images_done(tmp_path / "run") < 20 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    assert "Interrupted" in err
    assert "Traceback" not in err
    done = _headfit(*arguments, env=environment)
    images = json.loads(done.stdout)["images"]
    assert images["used"] == 240
    assert images["cached"] > 0
    assert images["computed"] > 0


def _images_done(run: Path) -> int:
    """How many images went through the backbone, as the run itself says."""
    try:
        stages = json.loads((run / "progress.json").read_text("utf-8"))["stages"]
    except (OSError, ValueError):  # not there yet
        return 0
    return max((s["done"] for s in stages if s["name"].startswith("Images through")), default=0)


def test_predict_refuses_what_is_no_model(tmp_path: Path, photos: Path, capsys: Capture) -> None:
    (tmp_path / "no.keras").write_bytes(b"PK no zip at all")
    for model, code, word in [
        ("absent.keras", 2, "not a file"),
        ("no.keras", 1, "is a zip archive that was cut off or damaged"),
    ]:
        assert main(["predict", str(tmp_path / model), str(photos)]) == code
        assert word in capsys.readouterr().err


def test_debug_shows_the_traceback(photos: Path, capsys: Capture) -> None:
    assert main(["compare", str(photos), "--size", "1", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def _headfit(
    *arguments: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "headfit", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=env,
    )
    assert done.returncode == 0, done.stderr
    return done
