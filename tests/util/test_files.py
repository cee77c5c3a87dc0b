from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from headfit.errors import UsageError, WriteError
from headfit.util import digests, files


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_whole_with_its_folders(tmp_path):
    path = tmp_path / "deep" / "er" / "data.bin"
    files.write_file(path, lambda temporary: _write(temporary, b"new"))
    assert path.read_bytes() == b"new"
    assert names(path.parent) == ["data.bin"]


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def test_the_temporary_file_has_the_same_suffix_and_folder(tmp_path):
    seen = []
    files.write_file(
        tmp_path / "model.keras", lambda temporary: (seen.append(temporary), _write(temporary, b""))
    )
    assert (seen[0].suffix, seen[0].parent) == (".keras", tmp_path)


@pytest.mark.parametrize(
    ("error", "seen"), [(ValueError, ValueError), (OSError, WriteError), (KeyboardInterrupt,) * 2]
)
def test_a_failure_leaves_the_former_file_and_nothing_else(tmp_path, error, seen):
    path = tmp_path / "data.bin"
    path.write_bytes(b"former")

    def fail(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise error("no")

    with pytest.raises(seen):
        files.write_file(path, fail)
    assert path.read_bytes() == b"former"
    assert names(tmp_path) == ["data.bin"]


def test_a_write_error_says_where_why_and_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError) as found:
        files.write_text(tmp_path / "file" / "text.txt", "text")
    message = str(found.value)
    assert message.startswith(f"Cannot write '{tmp_path / 'file' / 'text.txt'}': ")
    assert "--out" in message and "HEADFIT_HOME" in message and "\n" not in message


@pytest.mark.skipif(sys.platform == "win32", reason="no permission bits there")
def test_files_and_folders_follow_the_umask(tmp_path):
    former = os.umask(0o027)
    try:
        files.write_text(tmp_path / "text.txt", "text")
        with files.new_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(former)
    assert stat.S_IMODE((tmp_path / "text.txt").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o750


def test_text_is_utf_8_and_takes_names_that_are_not(tmp_path):
    files.write_text(tmp_path / "text.txt", "Größe 7×7 \udce9.jpg\n")
    assert (tmp_path / "text.txt").read_bytes() == "Größe 7×7 \\udce9.jpg\n".encode()


def test_json_comes_back_and_refuses_what_json_cannot_hold(tmp_path):
    path = tmp_path / "data.json"
    data = {"name": "é\udce9", "values": [1, 2.5, None]}
    files.write_json(path, data)
    assert json.loads(path.read_text("utf-8")) == data
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(path, float("nan"))
    assert json.loads(path.read_text("utf-8")) == data
    assert names(tmp_path) == ["data.json"]


def test_a_new_folder_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "deep" / "folder"
    with files.new_folder(path) as temporary:
        (temporary / "one").write_text("1")
        assert not path.exists() and temporary.parent == path.parent
    assert names(path) == ["one"]
    assert names(path.parent) == ["folder"]


def test_a_new_folder_replaces_the_former_one(tmp_path):
    for name in ("one", "two"):
        with files.new_folder(tmp_path / "folder") as temporary:
            (temporary / name).write_text("")
    assert names(tmp_path / "folder") == ["two"]
    assert names(tmp_path) == ["folder"]


def test_a_failure_leaves_the_former_folder(tmp_path):
    with files.new_folder(tmp_path / "folder") as temporary:
        (temporary / "one").write_text("")
    with pytest.raises(KeyboardInterrupt), files.new_folder(tmp_path / "folder") as temporary:
        (temporary / "two").write_text("")
        raise KeyboardInterrupt
    assert names(tmp_path / "folder") == ["one"]
    assert names(tmp_path) == ["folder"]


def test_a_new_folder_that_cannot_be_made_is_a_write_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError), files.new_folder(tmp_path / "file" / "folder"):
        raise AssertionError("the work began")


def test_a_writable_place_is_found_and_nothing_is_made(tmp_path):
    files.check_writable(tmp_path / "deep" / "out")
    files.check_writable(tmp_path)
    assert names(tmp_path) == []


def test_a_file_in_the_place_of_the_folder_is_a_usage_error(tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(UsageError, match="is a file; --out expects a folder"):
        files.check_writable(tmp_path / "file")
    with pytest.raises(WriteError, match="Cannot write"):
        files.check_writable(tmp_path / "file" / "out")
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="nothing is read-only to root"
)
def test_a_read_only_folder_is_a_write_error(tmp_path):
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(WriteError, match="Permission denied"):
            files.check_writable(tmp_path)
    finally:
        tmp_path.chmod(0o755)


def test_home_is_the_variable_or_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HEADFIT_HOME", str(tmp_path))
    assert files.home() == tmp_path
    for unset in (lambda: monkeypatch.setenv("HEADFIT_HOME", ""), lambda: None):
        unset()
        assert files.home().name == "headfit"
        monkeypatch.delenv("HEADFIT_HOME", raising=False)


def test_a_digest_depends_on_content_alone(tmp_path):
    data = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(data)
    assert digests.of_file(tmp_path / "file") == digests.of_bytes(data)
    assert digests.of_bytes(memoryview(data)) == digests.of_bytes(data)
    assert digests.of_bytes(data) != digests.of_bytes(data[:-1])
    assert digests.of_data({"a": 1, "b": [2, "é"]}) == digests.of_data({"b": [2, "é"], "a": 1})
    assert digests.of_data({"a": 1}) != digests.of_data({"a": "1"})
