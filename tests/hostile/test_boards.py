"""Lists and records of boards that somebody else wrote."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

import boards
from boards import record
from headfit.board import render
from headfit.board.declaration import MAX_BYTES, read_declaration
from headfit.board.record import MAX_BYTES as MOST
from headfit.cli.main import main
from headfit.errors import DataError, HeadfitError

LISTS = {
    "bytes": (b"#" * (MAX_BYTES + 1), "regular file of at most"),
    "depth": (b"x = " + b"[" * 100_000, "is not valid TOML"),
    "digits": (b"x = " + b"9" * 10_000, "is not valid TOML"),
    "no text": (b"\xff\xfe", "is not valid TOML"),
    "runs": (
        b"[[run]]\nsource = 'x'\nsize = [%s]\nbackbone = [%s]"
        % (b"64," * 10_000, b"'a'," * 10_000),
        "may hold 1 to 300 runs, and this one holds 100,000,000",
    ),
    "keys": (b".".join([b"a"] * 60_000) + b" = 1", "Line 1 .* more than 100 full stops"),
    "many keys": (
        b"\n".join(b"%d." % n + b".".join([b"a"] * 100) + b" = 1" for n in range(600)),
        "Unknown table '0'",
    ),
    "a zero": (b'[[run]]\nsource = "a\\u0000b"', ""),
    "a way out": (b'[[run]]\nsource = "x"\nname = "../../x"', "`name` must be"),
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_hostile_list_is_one_error(kind: str, tmp_path: Path) -> None:
    data, message = LISTS[kind]
    (tmp_path / "x.toml").write_bytes(data)
    start = time.monotonic()
    if kind == "a zero":
        (run,) = read_declaration(tmp_path / "x.toml")
        assert run.name == "a-b"
        assert main(["board", str(tmp_path / "x.toml"), "--out", str(tmp_path / "o")]) == 2
    else:
        with pytest.raises(HeadfitError, match=message):
            read_declaration(tmp_path / "x.toml")
    assert time.monotonic() - start < 30


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    import os  # noqa: PLC0415

    os.mkfifo(tmp_path / "x.toml")
    with pytest.raises(DataError, match="regular file"):
        read_declaration(tmp_path / "x.toml")


def test_names_and_heads_are_text_only_wherever_they_stand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = "<script>alert(1)</script>|`x`\x1b[2J"
    hostile = record()
    hostile["candidates"][1]["head"] = bad
    boards.write(tmp_path, **{"<b>|$x$\x1b[2J": hostile})
    assert main(["board", str(tmp_path)]) == 0
    assert "\x1b" not in capsys.readouterr().out
    page = (tmp_path / "board.html").read_text("utf-8")
    assert "<script>" not in page
    assert "<b>" not in page
    text = (tmp_path / "board.md").read_text("utf-8")
    assert "<script>" not in text.replace("\\<", "")
    assert len(json.loads((tmp_path / "board.json").read_text("utf-8"))["groups"]) == 1


def test_a_record_that_is_too_large_or_a_link_is_not_read(tmp_path: Path) -> None:
    boards.write(tmp_path, one=record())
    path = tmp_path / "records" / "two.json"
    path.symlink_to(tmp_path / "records" / "one.json")
    with pytest.raises(DataError, match="Cannot read"):
        render(tmp_path)
    path.unlink()
    path.write_text(" " * (MOST + 1))
    with pytest.raises(DataError, match="regular file of at most 1 MB"):
        render(tmp_path)
