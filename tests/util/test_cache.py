from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from headfit.errors import UsageError, WriteError
from headfit.util import cache, files
from headfit.util.cache import Cache
from headfit.util.pruning import Pruned, prune

DAY = 86400.0


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADFIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def record(key: str, data: object = "x", days: float = 0.0) -> Path:
    """Write a record that was last used some days ago."""
    cache.TRIALS.write(key, data)
    path = cache.TRIALS.folder / f"{key}.json"
    used(path, days)
    return path


def used(path: Path, days: float) -> None:
    os.utime(path, times=(0, time.time() - days * DAY))


def age(path: Path) -> float:
    return (time.time() - path.stat().st_mtime) / DAY


def removed(pruned: Pruned) -> list[str]:
    return [entry.path.name for entry, _ in pruned.removed]


def test_home_is_the_variable_or_the_platforms_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HEADFIT_HOME", str(tmp_path))
    assert cache.home() == tmp_path
    for unset in (lambda: monkeypatch.setenv("HEADFIT_HOME", ""), lambda: None):
        unset()
        assert cache.home().name == "headfit"
        monkeypatch.delenv("HEADFIT_HOME", raising=False)


def test_a_new_home_is_its_users_alone(home):
    cache.TRIALS.write("key", 1)
    assert home.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("umask", [0, 0o022])
def test_nobody_else_enters_a_cache_whatever_the_umask_and_the_folder_above(home, umask):
    home.mkdir(mode=0o755)
    (home / "fits").mkdir()
    before = os.umask(umask)
    try:
        home.chmod(0o755)
        (home / "fits").chmod(0o755)
        for entries in (cache.TRIALS, cache.FITS):
            entries.write("key", 1)
            assert (home / entries.name).stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_home_that_others_can_write_is_refused_unless_that_is_accepted(home, mode, monkeypatch):
    home.mkdir()
    home.chmod(mode)
    with pytest.raises(UsageError, match=r"can be written by other users.*chmod 700") as caught:
        cache.TRIALS.read("key")
    assert "\n" not in str(caught.value)
    monkeypatch.setenv(cache.SHARED, "1")
    assert cache.TRIALS.read("key") is None


def test_a_home_of_somebody_else_is_refused(home, monkeypatch):
    home.mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: home.stat().st_uid + 1)
    with pytest.raises(UsageError, match="belongs to another user"):
        cache.TRIALS.read("key")


def test_a_record_comes_back_and_one_that_is_absent_is_none():
    data = {"name": "é", "values": [1, 2.5, None]}
    cache.TRIALS.write("key", data)
    assert cache.TRIALS.read("key") == data
    assert cache.TRIALS.read("other") is None


@pytest.mark.parametrize("text", ["", "[]", "7", "{}", '{"digest": "0", "data": 1}', "\udcff{"])
def test_a_damaged_record_counts_as_absent(text):
    path = record("key")
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert cache.TRIALS.read("key") is None
    assert cache.damage(path) == ["key.json"]


def test_another_format_is_never_read():
    older, newer = (Cache("trials", number, "") for number in (1, 2))
    older.write("key", "old")
    assert newer.read("key") is None
    newer.write("key", "new")
    assert (older.read("key"), newer.read("key")) == ("old", "new")


def folder_entry(key: str) -> Path:
    with cache.GRAPHS.new_folder(key) as made:
        (made / "graph.bin").write_bytes(b"weights")
        (made / "graph.xml").write_text("graph")
    return cache.GRAPHS.path(key)


def test_a_folder_is_found_while_all_its_files_are_as_they_were_written():
    assert cache.GRAPHS.find("key") is None
    path = folder_entry("key")
    assert cache.GRAPHS.find("key") == path
    (path / "graph.bin").write_bytes(b"Weights")
    assert cache.GRAPHS.find("key") is None
    assert cache.damage(path) == ["graph.bin"]
    folder_entry("key")
    assert cache.GRAPHS.find("key") == path


@pytest.mark.parametrize("manifest", ["", "[]", "7", "{", None])
def test_a_folder_without_its_manifest_counts_as_absent(manifest):
    path = folder_entry("key") / cache.MANIFEST
    path.unlink() if manifest is None else path.write_text(manifest)
    assert cache.GRAPHS.find("key") is None
    assert cache.damage(path.parent)


def test_a_manifest_must_name_all_files():
    path = folder_entry("key")
    (path / cache.MANIFEST).write_text("{}")
    assert cache.damage(path) == ["graph.bin", "graph.xml"]


def test_a_flipped_byte_in_an_archive_is_noticed(tmp_path):
    path = tmp_path / "fit.npz"
    np.savez(path, weights=np.arange(100.0))
    assert cache.damage(path) == []
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert cache.damage(path) == ["fit.npz"]


def test_a_use_is_noted_at_most_once_an_hour():
    path = record("key", days=3)
    cache.TRIALS.read("key")
    assert age(path) < 0.01
    used(path, 0.5 / 24)
    before = path.stat().st_mtime_ns
    cache.TRIALS.read("key")
    assert path.stat().st_mtime_ns == before


def test_entries_say_what_they_are_and_how_large():
    record("key", days=2)
    folder_entry("graph")
    trial, graph = sorted(cache.entries(), key=lambda entry: entry.last_use)
    assert (trial.cache, trial.format) == (cache.TRIALS, cache.TRIALS.format)
    assert trial.size == trial.path.stat().st_size
    assert graph.size == sum(each.stat().st_size for each in graph.path.iterdir())
    assert not trial.outdated and not graph.outdated


def test_entries_of_other_formats_and_former_folders_are_listed_but_not_read(home):
    for folder in ("trials", "trials/v0", "own", "own/v1"):
        (home / folder).mkdir(parents=True, exist_ok=True)
        (home / folder / "key.json").write_text("{}")
    newer = home / "trials" / f"v{cache.TRIALS.format + 1}"
    newer.mkdir()
    (newer / "key.json").write_text("{}")
    assert cache.TRIALS.read("key") is None and cache.BACKBONES.read("key") is None
    found = [(each.cache.name, each.format, each.outdated) for each in cache.entries()]
    assert sorted(found, key=str) == [
        ("backbones", None, True),
        ("backbones", None, True),
        ("trials", 0, True),
        ("trials", cache.TRIALS.format + 1, False),
        ("trials", None, True),
    ]


def test_pruning_without_limits_removes_outdated_entries_only(home):
    record("key", days=1000)
    (home / "features" / "0123").mkdir(parents=True)
    (home / "features" / "0123" / "block").touch()
    assert removed(prune()) == ["0123"]
    assert [entry.path.name for entry in cache.entries()] == ["key.json"]


def test_pruning_by_age_and_by_size():
    for number in range(5):
        record(f"key-{number}", days=number)
    size = cache.entries()[0].size
    by_age = prune(older_than=3.5)
    assert removed(by_age) == ["key-4.json"] and by_age.left == 4 * size
    by_size = prune(to=2 * size)
    assert removed(by_size) == ["key-3.json", "key-2.json"] and by_size.left == 2 * size
    assert removed(prune(to=2 * size)) == []
    assert cache.TRIALS.read("key-0") == "x"


def test_a_dry_run_removes_nothing():
    path = record("key", days=9)
    pruned = prune(older_than=1, dry_run=True)
    assert removed(pruned) == ["key.json"] and pruned.left == 0
    assert path.exists()


def test_nothing_behind_a_link_is_listed_or_removed(home, tmp_path):
    theirs = tmp_path / "theirs"
    (theirs / "v1").mkdir(parents=True)
    (theirs / "v1" / "photo.json").write_text("{}")
    folder = record("key").parent
    (folder / "link.json").symlink_to(theirs / "v1" / "photo.json")
    (folder / "linked").symlink_to(theirs, target_is_directory=True)
    (home / "graphs").symlink_to(theirs, target_is_directory=True)
    inside = folder_entry_with_link(theirs)
    assert sorted(removed(prune(to=0))) == sorted(["key.json", inside.name])
    assert (theirs / "v1" / "photo.json").exists() and (folder / "link.json").is_symlink()


def folder_entry_with_link(theirs: Path) -> Path:
    with cache.HEADS.new_folder("head") as made:
        (made / "model").touch()
    path = cache.HEADS.path("head")
    (path / "elsewhere").symlink_to(theirs, target_is_directory=True)
    return path


def test_an_entry_that_cannot_be_removed_is_reported_and_counted(monkeypatch):
    path = record("key")

    def refuse(_: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(files, "remove", refuse)
    pruned = prune(to=0)
    assert [entry.path for entry in pruned.failed] == [path]
    assert (pruned.removed, pruned.left) == ([], path.stat().st_size)


def test_what_killed_processes_left_in_a_cache_is_neither_listed_nor_kept(home):
    store = home / "features" / f"v{cache.FEATURES.format}" / "key"
    store.mkdir(parents=True)
    left = store / f".tmp-{files._machine()}-{2**22 + 1}-{'0' * 32}.npy"
    left.write_bytes(b"half")
    (store.parent / left.name).mkdir()
    assert [entry.path for entry in cache.entries()] == [store]
    cache.TRIALS.read("any")  # any use of any cache
    assert list(store.parent.iterdir()) == [store] and list(store.iterdir()) == []


def test_caches_have_names_of_their_own():
    names = [name for each in cache.CACHES for name in (each.name, *each.former)]
    assert len(names) == len(set(names))
    assert json.dumps(names)


def test_what_only_reads_changes_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_read_only", False)
    cache._guard.cache_clear()
    cache.forbid_writing()
    assert cache.TRIALS.read("key") is None
    assert not home.exists()
    monkeypatch.setattr(cache, "_read_only", False)
    path = record("key", days=3)
    cache.forbid_writing()
    before = path.stat()
    assert cache.TRIALS.read("key") == "x"
    assert path.stat().st_mtime == before.st_mtime
    with pytest.raises(WriteError, match="`read_only` forbids writing it"):
        cache.TRIALS.write("other", "x")
    with pytest.raises(WriteError), cache.GRAPHS.new_folder("graph"):
        pass
    assert [each.name for each in home.iterdir()] == ["trials"]
