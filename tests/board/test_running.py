"""Declared runs that are really made: records, what is run again, what fails."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

import headfit.board.running as running
from headfit.board import run
from headfit.errors import DataError, UsageError
from headfit.progress import Callback
from headfit.study import version
from photos import write_folder

pytestmark = pytest.mark.slow
LIST = """
[defaults]
heads = ["gap", "flatten"]
protocol = "quick"
folds = 3
size = 64

[[run]]
source = "photos"
size = [64, 96]

[[run]]
name = "few"
source = "few"
"""


class Told(Callback):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def on_message(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of three runs, and their board."""
    folder = tmp_path_factory.mktemp("board")
    write_folder(folder / "photos", 12)
    write_folder(folder / "few", 6, seed=1)
    (folder / "board.toml").write_text(LIST, "utf-8")
    run(folder / "board.toml", folder / "out")
    return folder


def again(place: Path, **options: Any) -> list[str]:
    told = Told()
    run(place / "board.toml", place / "out", callbacks=told, **options)
    return told.lines


def records(place: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in (place / "out" / "records").iterdir()}


def test_each_run_leaves_a_small_record_without_a_path_of_this_machine(place: Path) -> None:
    found = records(place)
    assert sorted(found) == ["few", "photos-64", "photos-96"]
    for name, data in found.items():
        record = json.loads(data)
        assert record["name"] == name
        assert len(data) < 20_000
        assert [each["head"] for each in record["candidates"]] == ["gap", "flatten"]
        assert all(len(each["balanced_accuracy"]["folds"]) == 3 for each in record["candidates"])
        assert record["hardware"]["cores"] >= 1
        assert str(place).encode() not in data
        assert os.uname().nodename.encode() not in data
    assert json.loads(found["photos-96"])["place"]["map_shape"] == [3, 3, 1280]
    same = [json.loads(found[name])["fingerprints"]["folds"] for name in ("photos-64", "photos-96")]
    assert len(set(same)) == 1


def test_what_has_a_record_is_not_run_again(place: Path) -> None:
    before, start = records(place), time.monotonic()
    assert again(place) == ["3 runs have a record already."]
    assert records(place) == before
    assert time.monotonic() - start < 60


def test_a_record_that_no_longer_fits_is_run_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place / "out" / "records" / "few.json"
    fresh = path.read_bytes()
    path.write_bytes(b"{}")
    assert any("few is run again: " in line and "has schema None" in line for line in again(place))
    write_folder(place / "few", 6, seed=2)
    lines = again(place)
    assert "few is run again: its images or other files have changed" in lines
    write_folder(place / "few", 6, seed=1)
    (place / "board.toml").write_text(LIST + "seed = 1\n", "utf-8")
    assert "few is run again: it is declared otherwise" in again(place)
    (place / "board.toml").write_text(LIST, "utf-8")
    again(place)
    known = ("seconds", "hardware")
    kept, made = (json.loads(data) for data in (fresh, path.read_bytes()))
    for record in (kept, made):
        for name in known:
            record.pop(name)
        for each in record["candidates"]:
            each.pop("train_seconds")
    assert made == kept


def test_an_interrupted_list_goes_on_from_there(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, compare = [], running.compare

    def interrupted(*args: Any, **options: Any) -> Any:
        if len(made) == 1:
            raise KeyboardInterrupt
        made.append(args)
        return compare(*args, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(running, "compare", interrupted)
        run(place / "board.toml", tmp_path)
    assert [path.name for path in (tmp_path / "records").iterdir()] == ["photos-64.json"]
    told = Told()
    board = run(place / "board.toml", tmp_path, callbacks=told)
    assert told.lines[0] == "1 run has a record already."
    assert len(board.groups[0]["rows"]) == 3


def test_a_run_that_fails_is_listed_and_the_others_go_on(place: Path) -> None:
    for name in ("a", "b"):
        (place / "bad" / name).mkdir(parents=True, exist_ok=True)
        (place / "bad" / name / "x.jpg").write_bytes(b"no picture")
    (place / "more.toml").write_text(f"{LIST}\n[[run]]\nsource = 'bad'\n", "utf-8")
    board = run(place / "more.toml", place / "out")
    assert [each["name"] for each in board.failed] == ["bad"]
    assert "too few images" in board.failed[0]["reason"]
    assert len(board.groups[0]["rows"]) == 3
    assert "1 run failed" in (place / "out" / "board.md").read_text("utf-8")


def test_runs_that_cannot_stand_side_by_side_are_refused_before_any_is_made(
    place: Path, tmp_path: Path
) -> None:
    (place / "mixed.toml").write_text(f"{LIST}\n[[run]]\nname='x'\nsource='few'\nrepeats=2\n")
    with pytest.raises(UsageError, match=r"differ in the number of repeats: 1 .*, 2 \(x\)\. Set"):
        run(place / "mixed.toml", tmp_path)
    assert not (tmp_path / "records").exists()


def test_records_of_other_statistics_are_run_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place / "out" / "records" / "few.json"
    old = json.loads(path.read_bytes()) | {"statistics": version.STATISTICS - 1}
    path.write_text(json.dumps(old), "utf-8")
    expected = f"few is run again: its statistics are of version {version.STATISTICS - 1}, now 1"
    assert expected in again(place)


def test_what_mistakes_would_claim_is_measured_where_it_is_asked_for(
    place: Path, tmp_path: Path
) -> None:
    one = f"{LIST.split('[[run]]')[0]}\n[[run]]\nsource = 'few'\nclaims = true\n"
    (place / "claims.toml").write_text(one, "utf-8")
    (group,) = run(place / "claims.toml", tmp_path).groups
    assert {"settings", "best head"} <= group["rows"][0]["claims"].keys()
    assert "claimed − honest" in (tmp_path / "board.md").read_text("utf-8")


def test_a_list_that_is_no_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("[[run", "utf-8")
    with pytest.raises(DataError, match=r"x\.toml' is not valid TOML"):
        run(tmp_path / "x.toml", tmp_path)
