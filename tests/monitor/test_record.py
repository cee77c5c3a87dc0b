"""What a run writes down of itself while it goes on."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headfit.errors import DataError
from headfit.monitor import progress, record
from headfit.monitor.progress import MOST_MESSAGES
from headfit.monitor.record import Recorder
from headfit.progress import IMAGES, HeadScore

SCORE = {"mean": 0.8, "low": 0.7, "high": 0.9, "folds": [0.8] * 50}
HEAD = HeadScore("gap", SCORE, {**SCORE, "low": None, "high": None}, 1281, 0.25)


def read(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "progress.json").read_text("utf-8"))
    return found


def wait_for(what: Any) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_was_told_is_in_the_file_when_the_run_is_done(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with Recorder(run, "photos") as recorder:
        recorder.on_message("hello")
        recorder.on_stage_begin("Images", 10, IMAGES)
        recorder.on_progress(4, skipped=1)
        recorder.on_stage_begin("Heads", 2)
        recorder.on_progress(0.5, "gap")
        recorder.on_head_end(HEAD)
    found = read(run)
    assert (found["schema"], found["state"]) == ("headfit.progress/1", "done")
    assert (found["images"], found["messages"]) == ("photos", ["hello"])
    images, heads = found["stages"]
    assert (images["done"], images["unit"], images["skipped"]) == (10, "images", 1)
    assert images["over"] and heads["over"]
    (score,) = found["scores"]
    assert score["balanced_accuracy"] == {"mean": 0.8, "low": 0.7, "high": 0.9}
    assert score["log_loss"]["low"] is None
    assert score["parameters"] == 1281


def test_scores_lie_under_the_names_of_their_metrics(tmp_path: Path) -> None:
    with Recorder(tmp_path / "run", "photos") as recorder:
        recorder.on_stage_begin("Heads", 2)
        recorder.on_progress(0.5, "gap")
        recorder.on_head_end(replace(HEAD, metric="r2"))
    (score,) = read(tmp_path / "run")["scores"]
    assert score["metric"] == "r2" and {"r2", "rmse"} <= set(score)


@pytest.mark.parametrize(
    ("raised", "state", "words"),
    [
        (KeyboardInterrupt(), "stopped", ""),
        (SystemExit(1), "stopped", ""),
        (DataError("No images\n in 'x'."), "failed", "No images in 'x'."),
        (ValueError("bad"), "failed", "ValueError: bad"),
    ],
)
def test_each_end_is_told_apart(
    raised: BaseException, state: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(type(raised)), Recorder(tmp_path) as recorder:
        recorder.on_stage_begin("Images", 10, IMAGES)
        recorder.on_progress(4)
        raise raised
    found = read(tmp_path)
    assert (found["state"], found["error"]) == (state, words)
    assert found["stages"][0]["done"] == 4


def test_a_run_that_never_made_progress_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError), Recorder(tmp_path / "run") as recorder:
        recorder.on_message("WARNING")
        recorder.on_stage_begin("Looking for images", 1)
        raise DataError("none")
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_an_earlier_run_is_replaced_at_once(tmp_path: Path) -> None:
    (tmp_path / "progress.json").write_text("{}")
    with Recorder(tmp_path) as recorder:
        recorder.on_stage_begin("Looking for images", 1)
        recorder.on_progress(0)
        wait_for(lambda: read(tmp_path).get("state") == "running")


def test_every_read_finds_a_whole_document(tmp_path: Path) -> None:
    over = threading.Event()
    seen: list[dict[str, Any]] = []

    def look() -> None:
        while not over.is_set():
            if (tmp_path / "progress.json").exists():
                seen.append(read(tmp_path))

    reader = threading.Thread(target=look)
    with Recorder(tmp_path) as recorder:
        reader.start()
        recorder.on_stage_begin("Heads", 50)
        recorder.on_progress(0)
        for number in range(50):
            recorder.on_head_end(HEAD)
            recorder.on_progress(number)
            count = len(seen)
            wait_for(lambda count=count: len(seen) > count)
    over.set()
    reader.join()
    assert len({len(found["scores"]) for found in seen}) > 3
    assert {path.name for path in tmp_path.iterdir()} == {"progress.json"}


def test_progress_alone_is_written_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "LEAST", 0.2)
    states = set()
    began = time.monotonic()
    with Recorder(tmp_path) as recorder:
        recorder.on_stage_begin("Images", 1e6, IMAGES)
        recorder.on_progress(0)
        wait_for(lambda: (tmp_path / "progress.json").exists())
        done = 0
        while len(states) < 3:
            done += 1
            recorder.on_progress(done)
            states.add(read(tmp_path)["stages"][0]["done"])
            assert time.monotonic() < began + 30
    assert time.monotonic() - began > 0.2
    assert done > 100


def test_a_run_that_says_nothing_still_gives_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "LEAST", 0.02)
    monkeypatch.setattr(record, "HEARTBEAT", 0.05)
    with Recorder(tmp_path) as recorder:
        recorder.on_stage_begin("Heads", 1)
        recorder.on_progress(0)
        wait_for(lambda: (tmp_path / "progress.json").exists())
        first = read(tmp_path)["updated"]
        wait_for(lambda: read(tmp_path)["updated"] > first)


def test_a_file_that_cannot_be_written_is_said_once_and_stops_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    warnings: list[str] = []
    with Recorder(blocked / "run", warn=warnings.append) as recorder:
        for number in range(3):
            recorder.on_stage_begin("Heads", 1)
            recorder.on_progress(number)
            wait_for(lambda: warnings)
    assert len(warnings) == 1
    assert "not recorded" in warnings[0] and "Cannot write" in warnings[0]


class Busy:
    """``Path.replace`` of a system that replaces no file which is being read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self.left = times
        monkeypatch.setattr(Path, "replace", lambda old, new: self._replace(old, new))

    def _replace(self, old: Path, new: Path) -> None:
        if self.left:
            self.left -= 1
            raise PermissionError(13, "Permission denied")
        os.replace(old, new)  # noqa: PTH105  (that of Path is this one)


def test_a_file_that_is_being_read_is_written_a_little_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "LEAST", 0.02)
    monkeypatch.setattr(record, "PAUSES", (0.02,) * len(record.PAUSES))
    warnings: list[str] = []
    tries = len(record.PAUSES) + 1
    busy = Busy(monkeypatch, 2 * tries)
    with Recorder(tmp_path, warn=warnings.append) as recorder:
        recorder.on_stage_begin("Heads", 1)
        recorder.on_progress(0)
        wait_for(lambda: (tmp_path / "progress.json").exists())
        busy.left = tries + 1  # more than a write in between gets
    assert warnings == []
    assert read(tmp_path)["state"] == "done"
    assert {path.name for path in tmp_path.iterdir()} == {"progress.json"}


def test_a_file_that_stays_refused_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "LEAST", 0.01)
    monkeypatch.setattr(record, "PAUSES", (0.01,))
    monkeypatch.setattr(record, "LAST_PAUSES", (0.01,))
    warnings: list[str] = []
    busy = Busy(monkeypatch, 10**6)
    with Recorder(tmp_path, warn=warnings.append) as recorder:
        recorder.on_stage_begin("Heads", 1)
        recorder.on_progress(0)
        wait_for(lambda: warnings)
        assert 10**6 - busy.left >= 2 * record.FAILURES
    assert len(warnings) == 1
    assert "not recorded" in warnings[0]


def test_a_head_that_has_its_scores_counts_as_done() -> None:
    now = progress.RunProgress("photos")
    now.stage("Training heads", 2, "")
    now.advance(0.5, "gap", 0)
    now.scored(HEAD)
    now.scored(HEAD)
    now.advance(1.9, "gem", 0)
    assert now.to_dict()["stages"][0]["done"] == 2


def test_only_the_last_messages_are_kept(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    for number in range(MOST_MESSAGES + 5):
        recorder.on_message(str(number))
    messages = recorder.to_dict()["messages"]
    assert (len(messages), messages[0]) == (MOST_MESSAGES, "5")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_the_rate_leaves_out_what_was_there_already(clock: SimpleNamespace) -> None:
    stage = progress.Stage("Images", 2000, IMAGES, start=0.0)
    for done in range(1, 1901):
        clock.now = done * 0.0004
        stage.advance(done, "", 0)
    rates = []
    for done in range(1901, 1951):
        clock.now += 0.1
        stage.advance(done, "", 0)
        rates.append(stage.to_dict()["rate"])
    assert (rates[8], rates[15]) == (None, 10)
    assert set(rates) == {None, 10}
    assert stage.to_dict()["seconds"] == 5.8


def test_the_rate_is_that_of_the_last_seconds(clock: SimpleNamespace) -> None:
    stage = progress.Stage("Images", 1e6, IMAGES, start=0.0)
    done = 0.0
    for step in range(1, 301):
        clock.now = step / 10
        done += 500 if clock.now < 15 else 2
        stage.advance(done, "", 0)
    assert stage.to_dict()["rate"] == 20
    clock.now += 10  # nothing more comes
    assert stage.to_dict()["rate"] == pytest.approx(10, abs=0.5)
