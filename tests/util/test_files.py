from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
import uuid
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
    assert "`out`" in message and "HEADFIT_HOME" in message and "\n" not in message


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
    with pytest.raises(UsageError, match="`out` must be a folder, not a file"):
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


WRITES_AND_DIES = """
import os, sys, signal
from pathlib import Path
from headfit.util import files
def die(temporary):
    temporary.write_bytes(b"half")
    with files.new_folder(Path(sys.argv[1]) / "folder") as folder:
        (folder / "part").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
files.write_file(Path(sys.argv[1]) / "data.bin", die)
"""


def temporaries(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if files.is_temporary(path.name)]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path):
    command = [sys.executable, "-c", WRITES_AND_DIES, str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert len(temporaries(tmp_path)) == 2
    files.write_text(tmp_path / "text.txt", "text")
    assert names(tmp_path) == ["text.txt"]


def temporary(folder: Path, pid: int, machine: str = files._machine()) -> Path:
    path = folder / f".tmp-{machine}-{pid}-{uuid.uuid4().hex}.npy"
    path.touch()
    return path


def test_what_a_living_process_or_another_machine_writes_stays_for_a_day(tmp_path):
    living = [temporary(tmp_path, os.getpid()), temporary(tmp_path, 1, "0" * 8)]
    living.append(tmp_path / f".tmp-{uuid.uuid4().hex}")  # of a version that noted no process
    living[-1].touch()
    assert files.sweep(tmp_path) == []
    for path in living:
        os.utime(path, times=(0, time.time() - 25 * 3600))
    assert sorted(files.sweep(tmp_path)) == sorted(living)


def test_other_files_are_never_swept(tmp_path):
    theirs = [tmp_path / name for name in (".tmp-1234.npy", ".tmp-notes", "tmp", "headfit-mine")]
    for path in theirs:
        path.touch()
        os.utime(path, times=(0, 0))
    assert files.sweep(tmp_path) == []
    assert sorted(tmp_path.iterdir()) == sorted(theirs)


def test_a_sweep_removes_links_and_not_what_they_lead_to(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "photo").touch()
    link = temporary(tmp_path, 2**22 + 1)
    link.unlink()
    link.symlink_to(tmp_path / "theirs", target_is_directory=True)
    assert files.sweep(tmp_path) == [link]
    assert names(tmp_path) == ["theirs"] and names(tmp_path / "theirs") == ["photo"]


def test_scratch_folders_of_dead_processes_go(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"headfit-{files._machine()}-{2**22 + 1}-abc").mkdir()
    with tempfile.TemporaryDirectory(prefix=files.scratch_prefix()) as folder:
        assert names(tmp_path) == [Path(folder).name]
        assert files.is_temporary(Path(folder).name)


def test_removing_a_folder_leaves_nothing(tmp_path):
    with files.new_folder(tmp_path / "folder") as made:
        (made / "one").touch()
    files.remove(tmp_path / "folder")
    assert names(tmp_path) == []


def test_a_digest_depends_on_content_alone(tmp_path):
    data = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(data)
    assert digests.of_file(tmp_path / "file") == digests.of_bytes(data)
    assert digests.of_bytes(memoryview(data)) == digests.of_bytes(data)
    assert digests.of_bytes(data) != digests.of_bytes(data[:-1])
    assert digests.of_data({"a": 1, "b": [2, "é"]}) == digests.of_data({"b": [2, "é"], "a": 1})
    assert digests.of_data({"a": 1}) != digests.of_data({"a": "1"})
