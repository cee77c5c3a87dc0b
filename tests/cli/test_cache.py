from __future__ import annotations

import json
import os
import time

import numpy as np
import pytest

from headfit.cli.main import main
from headfit.features.store import FeatureStore
from headfit.finetuning.checkpoint import Checkpoint
from headfit.samples.catalog import write_sample
from headfit.util import cache
from headfit.util.machine import in_words


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with a feature store of two blocks, a graph and an outdated fit."""
    monkeypatch.setenv("HEADFIT_HOME", str(tmp_path))
    store = FeatureStore(cache.FEATURES.path("maps"))
    for name in ("a", "b"):
        store.append([name], np.ones((1, 2, 2, 3), np.float32))
    store.write_facts({"map_shape": [2, 2, 3]}, np.ones((2, 2, 2, 3), np.float32))
    with cache.GRAPHS.new_folder("graph") as made:
        (made / "graph.bin").write_bytes(b"weights")
    (tmp_path / "fits").mkdir()
    (tmp_path / "fits" / "old.npz").write_bytes(b"12345")
    return tmp_path


def run_json(capsys, *arguments):
    code = main(["cache", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_list_gives_a_record_for_each_cache_and_format(home, capsys):
    code, records = run_json(capsys, "list")
    assert code == 0
    assert {each["cache"] for each in records} == {each.name for each in cache.CACHES}
    (features,) = (each for each in records if each["cache"] == "features")
    assert (
        features["entries"] == 1
        and features["current"]
        and features["format"] == cache.FEATURES.format
    )
    assert features["bytes"] > 200 and features["last_use"].startswith("20")
    current, old = (each for each in records if each["cache"] == "fits")
    assert current == {**current, "entries": 0, "bytes": 0, "last_use": None, "current": True}
    assert old == {**old, "entries": 1, "bytes": 5, "format": None, "current": False}


def test_list_shows_a_table(home, capsys):
    assert main(["cache", "list"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(str(home))
    assert "outdated" in text and "never" in text and "feature maps" in text


def test_size_is_that_of_all_files(home, capsys):
    code, record = run_json(capsys, "size")
    total = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    assert (code, record["bytes"]) == (0, total)
    assert sum(each["bytes"] for each in record["caches"]) == total
    assert main(["cache", "size"]) == 0
    assert in_words(total) in capsys.readouterr().out


def test_verify_is_silent_on_what_is_whole(home, capsys):
    write_sample("where", cache.SAMPLES.path("where-0"), seed=0)
    assert run_json(capsys, "verify") == (0, {"entries": 3, "damaged": []})


def test_verify_names_what_is_damaged_and_removes_nothing(home, capsys):
    block = sorted(cache.FEATURES.path("maps").glob("block-*.npy"))[0]
    (probe,) = cache.FEATURES.path("maps").glob("probe-*.npy")
    for path in (block, probe, cache.GRAPHS.path("graph") / "graph.bin"):
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    sample = write_sample("where", cache.SAMPLES.path("where-0"), seed=0)
    next(path for path in sample.rglob("[!.]*") if path.is_file()).unlink()
    code, record = run_json(capsys, "verify")
    found = {each["cache"]: each["files"] for each in record["damaged"]}
    assert code == 1 and record["entries"] == 3
    assert found["features"] == [block.name, "facts.json"]
    assert found["graphs"] == ["graph.bin"]
    assert list(found) == ["features", "graphs", "samples"]
    assert main(["cache", "verify"]) == 1
    assert f"Damaged: {cache.GRAPHS.path('graph')}: graph.bin" in capsys.readouterr().out
    assert block.exists()


def test_prune_says_what_it_removes(home, capsys):
    os.utime(cache.GRAPHS.folder / "graph", times=(0, time.time() - 40 * 86400))
    assert main(["cache", "prune", "--older-than", "30", "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "Would remove fits/old.npz (5 B, outdated format)" in text.replace(os.sep, "/")
    assert "not used for 40 days" in text and "Would remove 2 entries" in text
    code, record = run_json(capsys, "prune", "--older-than", "30")
    assert code == 0 and record["failed"] == []
    assert [each["cache"] for each in record["removed"]] == ["fits", "graphs"]
    assert record["bytes_left"] == sum(entry.size for entry in cache.entries())
    assert main(["cache", "prune", "--to", "0"]) == 0
    assert "0 B left" in capsys.readouterr().out and cache.entries() == []


def test_folds_of_a_fine_tuning_are_listed_checked_and_pruned(home, capsys):
    path = cache.TUNING.folder / "fold.npz"
    Checkpoint(path).save([np.ones((40, 3))], {"losses": [0.5]})
    _, records = run_json(capsys, "list")
    (tuning,) = (each for each in records if each["cache"] == "tuning")
    assert tuning["entries"] == 1 and tuning["bytes"] == path.stat().st_size
    assert "fine-tuning" in tuning["holds"]
    assert run_json(capsys, "verify")[0] == 0
    path.write_bytes(path.read_bytes()[:-100])
    code, record = run_json(capsys, "verify")
    assert (code, [each["cache"] for each in record["damaged"]]) == (1, ["tuning"])
    os.utime(path, times=(0, time.time() - 40 * 86400))
    _, record = run_json(capsys, "prune", "--older-than", "30")
    assert "tuning" in [each["cache"] for each in record["removed"]] and not path.exists()


@pytest.mark.parametrize("arguments", [["--to", "-1"], ["--older-than", "soon"], ["--all"]])
def test_impossible_limits_are_usage_errors(home, capsys, arguments):
    assert main(["cache", "prune", *arguments]) == 2
    assert len(cache.entries()) == 3


@pytest.mark.parametrize(
    ("count", "words"),
    [
        *((0, "0 B"), (999, "999 B"), (1000, "1 kB"), (999_999, "1 MB"), (123_456_789, "123 MB")),
        *((1_500_000_000, "1.5 GB"), (10**13, "10,000 GB")),
    ],
)
def test_sizes_are_rounded_to_three_digits(count, words):
    assert in_words(count) == words
