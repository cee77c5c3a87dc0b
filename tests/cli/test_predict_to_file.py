"""``headfit predict --out`` and a list on standard input: killed, interrupted, and continued."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import classifiers
import headfit as hf
from headfit.cli.main import main
from headfit.images.inputs import Inputs

COUNT = 300


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and photos of which two cannot be read."""
    root = tmp_path_factory.mktemp("world")
    classifiers.random_classifier("gap", root / "model.keras")
    rng = np.random.default_rng(0)
    for number in range(COUNT):
        path = root / f"photos/{number % 3}/{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8)).save(path)
    for number in range(2):
        (root / f"photos/broken{number}.jpg").write_bytes(b"nothing")
    names = map(str, sorted(path.relative_to(root) for path in root.rglob("photos/**/*.*g")))
    (root / "list.txt").write_text("\n".join(names) + "\n")
    return root


def start(world: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "headfit", "predict", "model.keras", *arguments]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(command, cwd=world, text=True, **pipes)  # type: ignore[call-overload,no-any-return]


def run(world: Path, *arguments: str, names: str = "") -> tuple[str, str]:
    process = start(world, *arguments)
    out, err = process.communicate(names)
    assert process.returncode == 0, err
    return out, err


def rows(world: Path, name: str) -> int:
    journal = world / f"{name}.json"
    return int(json.loads(journal.read_text())["images"]) if journal.exists() else 0


def stop(world: Path, name: str, number: signal.Signals) -> tuple[int, str]:
    """Start a run, and stop it when it has made some rows safe; return the exit code and stderr."""
    process = start(world, "-", "--out", name)
    assert process.stdin is not None
    journal, before = world / f"{name}.json", rows(world, name)
    begun = journal.stat().st_mtime_ns if journal.exists() else 0
    for place, line in enumerate((world / "list.txt").read_text().splitlines(True)):
        process.stdin.write(line)
        process.stdin.flush()
        while place == before and not (journal.exists() and journal.stat().st_mtime_ns > begun):
            time.sleep(0.01)
        if place > before:
            time.sleep(0.02)
        if rows(world, name) > before:
            break
    process.send_signal(number)
    _, err = process.communicate()
    return process.returncode, err


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_a_killed_run_goes_on_to_the_same_file(world: Path) -> None:
    for name in ("whole.csv", "whole.parquet"):
        run(world, "list.txt", "--out", name)
    names = (world / "list.txt").read_text()
    for name, signals in (
        ("out.csv", [signal.SIGKILL, signal.SIGKILL]),
        ("out.parquet", [signal.SIGINT]),
    ):
        for number in signals:
            code, err = stop(world, name, number)
            assert code == (130 if number == signal.SIGINT else -number), err
            assert not (world / name).exists()
            assert 0 < rows(world, name) < COUNT
        if number == signal.SIGINT:
            assert f"rows are kept in '{name}.partial'" in err
        _, err = run(world, "-", "--out", name, names=names.replace("\n", "\0"))
        assert "rows are there already; continuing after them" in err
        whole = world / name.replace("out", "whole")
        assert (world / name).read_bytes() == whole.read_bytes()
    assert pq.read_table(world / "out.parquet")["path"].to_pylist() == names.split()


@pytest.mark.slow
def test_what_is_written_is_summed_up(world: Path) -> None:
    out, _ = run(world, "photos", "--out", "summed.jsonl", "--top", "1", "--json")
    summary = json.loads(out)
    assert (summary["images"], summary["unreadable"]) == (COUNT + 2, 2)
    records = list(map(json.loads, (world / "summed.jsonl").read_text().splitlines()))
    assert [len(record["top"]) for record in records].count(1) == COUNT
    predicted = [record["class"] for record in records if record["class"]]
    assert summary["classes"] == {name: predicted.count(name) for name in set(predicted)}
    _, err = run(world, "photos", "--out", "summed.jsonl", "--top", "1")
    assert "All images have rows already" in err
    process = start(world, "photos", "--out", "summed.jsonl", "--top", "2")
    assert "Choose another name, or replace it with --overwrite." in process.communicate()[1]
    assert process.returncode == 2


def test_images_in_an_archive_are_those_of_the_folder(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world)
    names = sorted(map(str, Path("photos/0").iterdir()))[:5]
    with zipfile.ZipFile("some.zip", "w") as archive:
        for name in names:
            archive.write(name)
        archive.writestr("notes.txt", "none")
    inputs = Inputs(["some.zip"])
    classifier = hf.Classifier.load("model.keras")
    found = list(classifier.iter_predictions(inputs))
    assert [each.path for each in found] == [f"some.zip/{name}" for name in names]
    for one, other in zip(found, classifier.iter_predictions(names), strict=True):
        np.testing.assert_array_equal(one.probabilities, other.probabilities)


def test_a_table_gives_a_row_for_each_of_its_rows(
    world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(world)
    names = [*sorted(map(str, Path("photos/0").iterdir()))[:2], "lost.png", "photos/broken0.jpg"]
    Path("new.csv").write_text("\n".join(["image,label", *(f"{name},x" for name in names)]))
    arguments = ["predict", "model.keras", "new.csv", "--path-column", "image", "--root", "."]
    assert main([*arguments, "--json"]) == 0
    records = json.loads(capsys.readouterr().out)["predictions"]
    assert [each["path"] for each in records] == names
    assert [each["error"] for each in records[:3]] == [None, None, "no such file"]
    written = hf.Classifier.load("model.keras").write_predictions("new.csv", "table.csv")
    assert (written.images, written.unreadable) == (4, 2)


def test_python_writes_the_same_file(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world)
    classifier = hf.Classifier.load("model.keras")
    paths = Path("list.txt").read_text().split()
    written = classifier.write_predictions(iter(paths), "python.csv")
    assert (written.images, written.unreadable) == (COUNT + 2, 2)
    predictions = list(classifier.iter_predictions(paths))
    lines = Path("python.csv").read_text().splitlines()[1:]
    assert [line.split(",")[0] for line in lines] == [each.path for each in predictions] == paths


def test_images_that_cannot_be_read_do_not_fill_the_memory(world: Path) -> None:
    classifier = hf.Classifier.load(world / "model.keras")
    taken = 0

    def names() -> Iterator[str]:
        nonlocal taken
        for taken in range(1, 2001):  # noqa: B007
            yield "lost.jpg"

    predictions = classifier.iter_predictions(names())
    assert next(predictions).error
    assert taken < 1500
    assert sum(1 for _ in predictions) == 1999
