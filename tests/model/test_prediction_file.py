"""Files of predictions: rows are neither lost nor doubled, whatever happens to the process."""

from __future__ import annotations

import csv
import fcntl
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from headfit.errors import UsageError
from headfit.model import prediction_file, prediction_formats
from headfit.model.prediction import Prediction
from headfit.model.prediction_file import PredictionFile, Written
from headfit.model.prediction_formats import Csv, JsonLines, Parquet, format_of
from headfit.progress import Callback

CLASSES = ("cat", "dög")
NAMES = [f"{number:02}\n,.jpg" for number in range(30)]
SUFFIXES = [".csv", ".jsonl", ".parquet"]


class Messages(Callback):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_message(self, message: str) -> None:
        self.heard.append(message)


def predict(names: Iterable[object]) -> Iterator[Prediction]:
    for name in names:
        number = int(str(name)[:2])
        if number % 7 == 3:
            yield Prediction(str(name), None, "empty file")
        else:
            p = np.array([number / 30, 1 - number / 30])
            yield Prediction(
                str(name), p, "", float(p.max()), CLASSES[: 1 + number % 2], number > 9
            )


def write(
    out: Path,
    names: Iterable[str] = NAMES,
    *,
    stop: int | None = None,
    model: bytes = b"model",
    overwrite: bool = False,
    callback: Callback | None = None,
) -> Written:
    """Write a file; ``stop`` interrupts it at one of the remaining images."""

    def interrupted(remaining: Iterable[object]) -> Iterator[Prediction]:
        for number, each in enumerate(predict(remaining)):
            if number == stop:
                raise KeyboardInterrupt
            yield each

    path = out.parent / "model.keras"
    path.write_bytes(model)
    file = PredictionFile(out, path, format_of(out, CLASSES, 2))
    return file.write(names, interrupted, callback or Callback(), overwrite)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("seconds", [0.0, 9.0])
def test_an_interrupted_run_goes_on_to_the_same_file(
    suffix: str, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_formats, "MOST_ROWS", 8)
    whole, out = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    assert write(whole).images == len(NAMES)
    monkeypatch.setattr(prediction_file, "SECONDS", seconds)
    for stop in (0, 1, 5, 0, 11):
        with pytest.raises(KeyboardInterrupt):
            write(out, stop=stop)
        assert not out.exists()
        with out.with_name(f"{out.name}.partial").open("ab") as torn:
            torn.write(b"half a row")  # what a killed process had not made safe
    heard = Messages()
    written = write(out, callback=heard)
    assert (written.images, written.unreadable, written.resumed) == (len(NAMES), 4, 17)
    assert written.classes == {"cat": 13, "dög": 13}
    assert "17 rows are there already" in heard.heard[0]
    assert out.read_bytes() == whole.read_bytes()
    assert not out.with_name(f"{out.name}.partial").exists()


def test_the_formats_say_the_same(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        write(tmp_path / f"out{suffix}")
    with (tmp_path / "out.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    records = list(map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines()))
    table = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["path"] for row in rows] == [r["path"] for r in records] == NAMES
    assert [row["path"] for row in table] == NAMES
    for row, record, cells in zip(rows, records, table, strict=True):
        assert (row["predicted"] or None) == record["class"] == cells["predicted"]
        assert (row["error"] or None) == record["error"] == cells["error"]
        assert record["set"] == cells["set"] == (row["set"].split(";") if row["set"] else None)
        assert record["outlier"] == cells["outlier"]
        if not row["error"]:
            assert float(row["p_dög"]) == pytest.approx(cells["p_dög"], abs=1e-6)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_that_are_not_utf8_are_escaped(suffix: str, tmp_path: Path) -> None:
    classes, p = ("bo\udceete", "x"), np.array([0.75, 0.25])
    form = format_of(tmp_path / f"out{suffix}", classes, 2)
    (tmp_path / "model.keras").write_bytes(b"model")
    file = PredictionFile(tmp_path / f"out{suffix}", tmp_path / "model.keras", form)
    row = Prediction("caf\udce9.jpg", p, "", 0.75, classes, False)
    file.write(["caf\udce9.jpg"], lambda _: iter([row]), Callback(), False)
    if suffix == ".parquet":
        (cells,) = pq.read_table(tmp_path / "out.parquet").to_pylist()
        assert (cells["predicted"], cells["set"]) == ("bo\\udceete", ["bo\\udceete", "x"])
        assert (cells["path"], cells["p_bo\\udceete"]) == ("caf\\udce9.jpg", 0.75)
    else:
        assert r"bo\udceete" in (tmp_path / f"out{suffix}").read_text("utf-8")


def test_row_groups_of_parquet_have_one_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_formats, "MOST_ROWS", 8)
    monkeypatch.setattr(prediction_file, "MOST_ROWS", 3)
    write(tmp_path / "out.parquet")
    facts = pq.read_metadata(tmp_path / "out.parquet")
    assert [facts.row_group(n).num_rows for n in range(facts.num_row_groups)] == [8, 8, 8, 6]


CHILD = """
import time
from pathlib import Path
from test_prediction_file import NAMES, prediction_file, write
prediction_file.SECONDS = 0.0
def slowly():
    for name in NAMES:
        time.sleep(0.01)
        yield name
write(Path("{out}"), slowly())
"""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_killed_process_loses_and_doubles_no_row(suffix: str, tmp_path: Path) -> None:
    whole, out = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    write(whole)
    journal = tmp_path / f"{out.name}.json"

    def rows() -> int:
        return int(json.loads(journal.read_text())["images"]) if journal.exists() else 0

    for enough in (9, len(NAMES)):  # the second as the file is finished, or just before
        with subprocess.Popen(
            [sys.executable, "-c", CHILD.format(out=out)], cwd=Path(__file__).parent
        ) as child:
            while rows() < enough and child.poll() is None:
                time.sleep(0.002)
            child.kill()
        assert child.returncode == -signal.SIGKILL or (enough == len(NAMES) and out.exists())
    written = write(out)
    assert (written.images, written.unreadable) == (len(NAMES), 4)
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_run_that_died_while_it_finished_is_finished(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    write(whole)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        for form in (Csv, JsonLines, Parquet):
            patch.setattr(form, "finish", dies)
        write(out)
    assert not out.exists()
    assert write(out, stop=0).resumed == len(NAMES)
    assert out.read_bytes() == whole.read_bytes()


def test_a_finished_file_is_left_alone(tmp_path: Path) -> None:
    out, heard = tmp_path / "out.csv", Messages()
    write(out)
    before = out.stat().st_mtime_ns
    written = write(out, iter(NAMES), stop=0, callback=heard)
    assert (written.images, written.resumed) == (len(NAMES), len(NAMES))
    assert heard.heard == ["All images have rows already."]
    assert out.stat().st_mtime_ns == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model.keras",
        "out.csv",
        "out.csv.json",
    ]
    out.unlink()
    assert write(out).resumed == 0
    assert out.exists()


def test_a_file_of_others_is_refused_until_it_is_to_be_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("mine")
    with pytest.raises(UsageError, match="exists, and whose model and images are not known"):
        write(out)
    write(out, NAMES[:20], overwrite=True)
    with pytest.raises(UsageError, match=r"is of another model, '.*model\.keras'"):
        write(out, model=b"other")
    for names in (NAMES, NAMES[:19], NAMES[1:21], []):
        with pytest.raises(UsageError, match=r"20 rows of other images.*`overwrite=True`"):
            write(out, names)
    with pytest.raises(UsageError, match="is of top=2"):
        PredictionFile(out, tmp_path / "model.keras", JsonLines(CLASSES, 1)).write(
            NAMES[:20], predict, Callback(), False
        )
    assert len(out.read_text().splitlines()) == 20
    with pytest.raises(KeyboardInterrupt):
        write(out, stop=4, overwrite=True)
    assert len(out.read_text().splitlines()) == 20  # until the new one is whole
    assert write(out).resumed == 4
    assert len(out.read_text().splitlines()) == 30


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    with (tmp_path / "out.csv.partial").open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="Another process is writing"):
            write(tmp_path / "out.csv")


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"`out` must be .*\.csv, \.jsonl or \.parquet"):
        write(tmp_path / "out.xlsx")
