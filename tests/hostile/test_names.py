"""Names of files, classes and layers never steer the terminal."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path

import keras
import pytest
from rich.progress import Progress

from headfit.cli.console import SafeConsole
from headfit.cli.main import main
from headfit.cli.tables import literal, plain_table
from photos import write_folder

STEERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
NAME = "cat\x1b[2J\x9b31m\u202e"


def test_tables_and_lines_show_controls() -> None:
    stream = io.StringIO()
    console = SafeConsole(file=stream, width=60, force_terminal=False)
    table = plain_table(["name"], title=NAME)
    table.add_row(literal(NAME))
    table.add_row(NAME)
    console.print(table)
    console.print(NAME, markup=False)
    assert not STEERS.search(stream.getvalue())
    assert stream.getvalue().count(r"\x1b[2J") == 4


def test_bars_still_move() -> None:
    stream = io.StringIO()
    console = SafeConsole(file=stream, width=60, force_terminal=True, legacy_windows=False)
    with Progress(console=console) as progress:
        progress.update(progress.add_task(NAME, total=2), completed=1)
        progress.refresh()
    text = stream.getvalue()
    assert "\x1b[?25l" in text and "\x1b[?25h" in text  # the cursor hides and comes back
    assert r"cat\x1b[2" in text and "cat\x1b" not in text


@pytest.mark.parametrize("command", ["compare", "rank", "inspect"])
def test_what_is_wrong_with_a_hostile_name_is_said_in_plain_text(
    command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([command, str(tmp_path / NAME)]) == 2
    out, err = capfd.readouterr()
    assert not STEERS.search(out + err)
    assert r"\x1b[2J" in err


def test_hostile_classes_and_layers(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    photos = write_folder(tmp_path / "photos", 4)
    shutil.move(next(photos.iterdir()), photos / NAME)
    (photos / NAME / f"bad{NAME}.png").write_bytes(b"no picture")
    assert main(["rank", str(photos), "--size", "64", "--weights", "random"]) == 0
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="dense\x1b[2J")])
    model.save(tmp_path / "model.keras")
    main(["inspect", str(tmp_path / "model.keras")])
    out, err = capfd.readouterr()
    assert not STEERS.search(out + err)
