"""The command for boards: its table, its exit codes, its errors."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

import boards
from boards import record
from headfit.board import render
from headfit.cli.main import main
from headfit.cli.show_board import show_board


def shown(folder: Path, width: int) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO(), emoji=False, highlight=False)
    show_board(console, render(folder).to_dict(), "headfit-board")
    return [line.rstrip() for line in console.export_text().splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    what = record("not_necessary", -0.03, data="d2")
    return boards.write(tmp_path, **{"where-64": record(), "what-64": what})


@pytest.mark.parametrize("width", [60, 80, 120, 160])
def test_the_table_fits_and_has_the_answer_and_the_plot(folder: Path, width: int) -> None:
    lines = shown(folder, width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "where-64" in text
    assert "+2.0 to +6.0" in text
    assert "not necessary" in text
    assert text.count("●") == 2
    assert ("15,363" in text) == (width > 120)


def test_json_is_what_the_file_holds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["board", str(folder), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((folder / "board.json").read_text("utf-8"))


def test_a_refusal_names_the_option(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    boards.write(folder, numbers=record(metric="r2"))
    assert main(["board", str(folder)]) == 1
    error = capsys.readouterr().err
    assert "the metric: balanced accuracy (what-64 and where-64), R² (numbers)" in error
    assert "Set --group to get a table for each kind." in error
    assert main(["board", str(folder), "--group"]) == 0
    assert "R², 1 × 3 folds" in capsys.readouterr().out


def test_a_place_that_is_not_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["board", str(tmp_path / "x.toml")]) == 2
    assert capsys.readouterr().err.startswith("Error: Cannot read '")


def test_a_wrong_key_is_named_with_its_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.toml"
    path.write_text("[[run]]\nname = 'x'\nsource = 'demo:digits'\nfolds = 2\n", "utf-8")
    assert main(["board", str(path), "--out", str(tmp_path / "out")]) == 2
    expected = "Error: Run 'x': folds must be an integer of at least 3. Received: folds=2.\n"
    assert capsys.readouterr().err == expected
    assert not (tmp_path / "out").exists()
