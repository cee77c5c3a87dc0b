"""``headfit predict`` as a user meets it, with a model that was really trained."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headfit.cli.predict import _show
from headfit.model.prediction import Prediction
from headfit.model.prediction_formats import Csv, JsonLines
from trained_model import Trained

KNOWN = Prediction("a.jpg", np.array([0.7, 0.3]), "", 0.6, ("cat", "dog"), False)
STRANGE = Prediction("b.jpg", np.array([0.1, 0.9]), "", 0.8, ("dog",), True)
PLAIN = Prediction("c.jpg", np.array([0.1, 0.9]))
BROKEN = Prediction("d.jpg", None, "not an image")
CLASSES = ("cat", "dog")
FORM = JsonLines(CLASSES, 2)


def test_a_record_says_what_is_known_and_none_of_the_rest() -> None:
    keys = ("calibrated", "set", "outlier", "class", "error")
    found = [FORM.record(p) for p in (KNOWN, STRANGE, PLAIN, BROKEN)]
    assert [[record[key] for key in keys] for record in found] == [
        [0.6, ["cat", "dog"], False, "cat", None],
        [0.8, ["dog"], True, "dog", None],
        [None, None, None, "dog", None],
        [None, None, None, None, "not an image"],
    ]


def test_csv_has_the_same_columns_for_all() -> None:
    form = Csv(CLASSES)
    text = (form.start() + form.rows([KNOWN, STRANGE, PLAIN, BROKEN])).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    keys = ("calibrated", "set", "outlier", "error")
    assert [[row[key] for key in keys] for row in rows] == [
        ["0.600000", "cat;dog", "false", ""],
        ["0.800000", "dog", "true", ""],
        ["", "", "", ""],
        ["", "", "", "not an image"],
    ]


@pytest.mark.parametrize(("shown", "marked"), [([KNOWN, STRANGE], 1), ([KNOWN, BROKEN], 0)])
def test_the_table_marks_outliers(
    shown: list[Prediction], marked: int, capsys: pytest.CaptureFixture[str]
) -> None:
    _show(list(map(FORM.record, shown)), "class")
    out = capsys.readouterr().out
    assert out.count("unlike the training images") == marked
    lines = [line for line in out.splitlines() if "unlike" in line]
    assert all("b.jpg" in line for line in lines)


@pytest.mark.slow
def test_strangers_are_marked_in_json_table_and_csv(trained: Trained, tmp_path: Path) -> None:
    kinds = {"stranger": trained.strangers, "known": trained.fresh}
    names = [str(path) for paths in kinds.values() for path in paths]
    table = tmp_path / "new.csv"
    done = _predict(trained, *names, "--json", "--csv", str(table))
    records: list[dict[str, Any]] = json.loads(done)["predictions"]
    strange = len(trained.strangers)
    assert all(record["outlier"] is True for record in records[:strange])
    flagged = [record["outlier"] for record in records[strange:]]
    assert set(flagged) <= {True, False}
    assert np.mean(flagged) < 0.2
    for record in records:
        assert set(record) >= {"path", "class", "probability", "top", "error"}
        assert record["set"][0] == record["class"]
        assert 0 < record["calibrated"] <= 1
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert [row["outlier"] == "true" for row in rows] == [r["outlier"] for r in records]
    assert [row["set"].split(";") for row in rows] == [r["set"] for r in records]
    pair = [trained.strangers[0], trained.fresh[0]]
    shown = _predict(trained, *(str(path.relative_to(trained.root)) for path in pair))
    marks = [path.name for path in pair for line in shown.splitlines() if path.name in line]
    (line,) = [line for line in shown.splitlines() if "unlike the training images" in line]
    assert marks == [path.name for path in pair]
    assert trained.strangers[0].name in line


def _predict(trained: Trained, *arguments: str) -> str:
    command = [sys.executable, "-m", "headfit", "predict", str(trained.model), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=trained.root)
    assert done.returncode == 0, done.stderr
    return done.stdout
