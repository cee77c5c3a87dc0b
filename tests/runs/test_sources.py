"""The same images from every source give the same results."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import headfit as hf
from headfit.cli.main import main
from headfit.images.sources import find_source
from listener import Listener
from photos import CLASSES, write_folder

BARE: dict[str, Any] = {
    **{"size": 64, "protocol": "quick", "folds": 3},
    **{"heads": "gap", "where": False, "curve": False},
}
# what names the source, or depends on the clock
VARYING = ("timings", "train_seconds", "latency_ms", "source", "command", "cached", "computed")
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sources")
    write_folder(root / "photos", 5, split="train")
    write_folder(root / "photos", 2, seed=1, split="test")
    return root / "photos"


@pytest.fixture(scope="module")
def expected(photos: Path) -> dict[str, Any]:
    return comparable(hf.compare(photos, **BARE).results)


def comparable(results: Any) -> Any:
    """Leave out what may differ between sources."""
    if isinstance(results, dict):
        return {k: comparable(v) for k, v in results.items() if k not in VARYING}
    return [comparable(each) for each in results] if isinstance(results, list) else results


def frame_of(photos: Path) -> pd.DataFrame:
    files = sorted(photos.rglob("*.jpg"))
    return pd.DataFrame(
        {
            "path": [file.relative_to(photos).as_posix() for file in files],
            "label": [file.parent.name for file in files],
            "split": [file.parent.parent.name for file in files],
        }
    ).sample(frac=1, random_state=0)


@pytest.mark.parametrize(
    "name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet", "a.zip", "a.tar.gz", "hf"]
)
def test_every_source_gives_the_same_results(
    photos: Path, expected: dict[str, Any], tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    options: dict[str, Any] = {}
    if name.startswith("t"):
        frame, options = frame_of(photos), {"root": photos}
        writers: dict[str, Any] = {
            "csv": lambda: frame.to_csv(path, index=False, sep=";", encoding="utf-16"),
            "tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
            "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
            "parquet": lambda: frame.to_parquet(path),
        }
        writers[path.suffix[1:]]()
    elif name == "hf":
        loaded = pytest.importorskip("datasets").load_dataset(
            "imagefolder", data_dir=str(photos), cache_dir=str(tmp_path / "cache")
        )
        loaded.save_to_disk(str(path))
    else:
        shutil.make_archive(str(tmp_path / "a"), "zip" if name == "a.zip" else "gztar", photos)
    study = hf.compare(f"hf:{path}" if name == "hf" else path, **BARE, **options)
    assert comparable(study.results) == expected
    source = study.results["settings"]["source"]
    assert source["path"] == str(path)
    again = find_source(json.loads(json.dumps(source)))  # as the report finds the images
    assert again is not None
    assert again.read_bytes("train/red/00.jpg") == (photos / "train/red/00.jpg").read_bytes()


def test_the_command_of_a_table_repeats_the_run(
    photos: Path, tmp_path: Path, capsys: Capture
) -> None:
    table = tmp_path / "t.csv"
    frame = frame_of(photos).rename(columns={"label": "colour"})
    frame["note"] = "x"
    frame.to_csv(table, index=False)
    listener = Listener()
    named = {"label_column": "colour", "root": photos, "strict": True}
    results = hf.compare(table, **BARE, **named, callbacks=listener).results
    words = results["settings"]["command"].split()
    assert words[2] == str(table)
    for option in (["--label-column", "colour"], ["--root", str(photos)], ["--strict"]):
        assert " ".join(option) in results["settings"]["command"]
    assert main([*words[1:], "--json", "--out", str(tmp_path / "run")]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["candidates"][0]["accuracy"] == results["candidates"][0]["accuracy"]


def test_a_run_says_which_rows_are_left_out_and_strict_stops_it(
    photos: Path, tmp_path: Path, capsys: Capture
) -> None:
    frame = frame_of(photos)
    frame.loc[len(frame)] = ["train/gone.jpg", CLASSES[0], "train"]
    frame.to_csv(tmp_path / "t.csv", index=False)
    listener = Listener()
    results = hf.compare(tmp_path / "t.csv", root=photos, callbacks=listener, **BARE).results
    row = len(frame) + 1
    assert listener.has_line(
        f"1 of 22 rows of 't.csv' is left out: 1 × no such file (row {row} 'train/gone.jpg')."
    )
    assert results["skipped"] == [{"path": "train/gone.jpg", "reason": f"no such file (row {row})"}]
    arguments = ["compare", str(tmp_path / "t.csv"), "--root", str(photos), "--strict"]
    assert main([*arguments, "--out", str(tmp_path / "run")]) == 1
    assert "Correct this or leave out --strict." in capsys.readouterr().err
    with pytest.raises(hf.UsageError, match="`root` must be left out: the index has been read"):
        hf.compare(hf.ImageIndex.from_directory(photos), root=photos)


def test_weights_of_a_table_count(photos: Path) -> None:
    frame = frame_of(photos).assign(weight=1.0)
    frame.loc[frame["label"] == CLASSES[0], "weight"] = 3.0
    index = hf.ImageIndex.from_table(frame, root=photos)
    assert index.weights is not None and sorted(set(index.weights)) == [1.0, 3.0]
    results = hf.compare(index, **BARE).results
    assert results["images"]["imbalance"] == pytest.approx(3)
    assert results["images"]["effective_images"] < 15
