"""Lists of files, and whatever else a user names."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from pandas import DataFrame

from headfit.errors import DataError, ImageError, UsageError
from headfit.images.inputs import Inputs
from headfit.images.lists import split_names
from headfit.images.read_ahead import content_of


class Trickle(io.RawIOBase):
    """A pipe whose writer takes its time."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def read1(self, size: int) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.mark.parametrize(
    ("pieces", "names"),
    [
        ([b"a.jpg\nb c.jpg\n"], ["a.jpg", "b c.jpg"]),
        ([b"a.jpg\r\n\r\nb.jpg"], ["a.jpg", "b.jpg"]),
        ([b"a\nb\0c\0", b"d\0"], ["a\nb", "c", "d"]),
        ([b"a.j", b"pg\nb", b".jpg\n"], ["a.jpg", "b.jpg"]),
        ([b"\xef\xbb\xbf\xc3", b"\xa4.jpg\n"], ["ä.jpg"]),
        (["ä.jpg\r\nb.jpg\r\n".encode("utf-16")], ["ä.jpg", "b.jpg"]),
        ([b"caf\xe9.jpg\n"], [os.fsdecode(b"caf\xe9.jpg")]),
        ([], []),
    ],
    ids=["lines", "Windows", "zero bytes", "pieces", "mark", "UTF-16", "Latin-1", "empty"],
)
def test_names_are_split(pieces: list[bytes], names: list[str]) -> None:
    assert list(split_names(Trickle(pieces), "it")) == names  # type: ignore[arg-type]


def test_a_file_that_is_no_list_is_refused() -> None:
    with pytest.raises(UsageError, match="it is not a list of files"):
        list(split_names(Trickle([b"a" * 65536] * 20), "it"))  # type: ignore[arg-type]


def test_a_list_is_relative_to_itself_or_else_to_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photo = touch(tmp_path / "photos/a.jpg")
    listed = Path("photos/list.txt")
    listed.write_text("a.jpg\nlost.jpg\n")
    assert list(Inputs([str(listed)])) == ["photos/a.jpg", "photos/lost.jpg"]
    assert list(Inputs([f"@{listed}"])) == ["photos/a.jpg", "photos/lost.jpg"]
    listed.write_text(f"photos/a.jpg\n{photo}\n")
    assert list(Inputs([str(listed)])) == ["photos/a.jpg", str(photo)]
    Path("list.txt").write_text("photos/a.jpg\n")
    assert list(Inputs(["list.txt"])) == ["photos/a.jpg"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("new.csv", "path\na.jpg\n\nlost.jpg\n../a.jpg\n"),
        ("new.csv", "path;label\na.jpg;x\n;\nlost.jpg;\n../a.jpg;y\n"),
        ("new.tsv", "n\tFile Name\n1\ta.jpg\n2\tlost.jpg\n3\t../a.jpg\n"),
        ("new.jsonl", '{"file": "a.jpg"}\n{"file": "lost.jpg"}\n{"file": "../a.jpg"}\n'),
    ],
)
def test_a_table_names_files_and_no_row_is_lost(
    name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photo = touch(tmp_path / "photos/a.jpg")
    touch(tmp_path / "a.jpg")
    (photo.parent / name).write_text(text)
    found = Inputs([f"photos/{name}"])
    assert found.__length_hint__() == 3
    good, lost, outside = found
    assert good == "photos/a.jpg"
    assert os.fspath(lost) == "photos/lost.jpg"
    for each, reason in ((lost, "no such file"), (outside, "a path outside the root")):
        with pytest.raises(ImageError, match=reason):
            content_of(each)


def test_the_column_and_the_root_of_a_table_are_chosen(tmp_path: Path) -> None:
    photo = touch(tmp_path / "photos/a.jpg")
    table = tmp_path / "new.parquet"
    DataFrame({"one": ["a.jpg", None], "two": ["b.jpg", "c.jpg"]}).to_parquet(table)
    good, empty = Inputs([str(table)], path_column="One", root=photo.parent)
    assert (good, os.fspath(empty)) == (str(photo), "new.parquet, row 2")
    with pytest.raises(DataError, match="not plain which column"):
        Inputs([str(table)])
    with pytest.raises(UsageError, match="`root` must be left out: it is for tables"):
        Inputs([str(photo)], root=tmp_path)


def test_files_folders_patterns_and_lists_follow_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b/2.jpg", "b/c/1.png", "b/1.jpg", "a.jpg", "x1.jpg", "x0.jpg"):
        touch(tmp_path / name)
    Path("b/notes.md").touch()
    inputs = Inputs(["b", "a.jpg", "x*.jpg"])
    expected = ["b/1.jpg", "b/2.jpg", "b/c/1.png", "a.jpg", "x0.jpg", "x1.jpg"]
    assert list(inputs) == list(inputs) == expected
    assert inputs.__length_hint__() == 6
    with pytest.raises(UsageError, match="matches no file"):
        Inputs(["lost*"])
    Path("empty").mkdir()
    with pytest.raises(UsageError, match="No images in the folder 'empty'"):
        list(Inputs(["empty"]))
