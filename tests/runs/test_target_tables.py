"""Runs on tables of several labels and of numbers: what they say, and what they refuse at once."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import headfit as hf
from headfit.cli.main import main
from headfit.runs.earlier import read_run
from headfit.samples.catalog import write_sample
from listener import Listener
from photos import CLASSES, write_folder

BARE: dict[str, Any] = {
    **{"size": 64, "protocol": "quick", "folds": 3},
    **{"heads": "gap", "where": False, "curve": False},
}
TAGS = {"blue": "", "green": "sea", "red": "sea;sky"}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write images, ``tags.csv`` and ``places.csv``, each with a copy that contradicts."""
    root = tmp_path_factory.mktemp("tables")
    write_folder(root, 8)
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.jpg"))
    shutil.copy(root / files[0], root / "copy.jpg")
    kinds = [CLASSES.index(path.split("/")[0]) for path in files]
    copied = [*files, "copy.jpg"]
    tags = [*(TAGS[path.split("/")[0]] for path in files), "sky"]
    pd.DataFrame({"path": copied, "tags": tags}).to_csv(root / "tags.csv", index=False)
    x = [*(kind + number % 8 / 10 for number, kind in enumerate(kinds)), 5.5]
    places = pd.DataFrame({"path": copied, "x": x, "y": [-each / 2 for each in x]})
    places.assign(same=3, tag=[*(["alone"] * 24), "once"]).to_csv(root / "places.csv", index=False)
    return root


@pytest.mark.parametrize(
    ("table", "columns", "kind", "names", "read", "contradicts"),
    [
        (
            *("tags.csv", "tags", "labels", ["sea", "sky"]),
            "2 labels (25 images; 8 without a label): 'sea' 16, 'sky' 9.",
            "copies with different labels, so a label must be wrong",
        ),
        (
            *("places.csv", "x,y", "number", ["x", "y"]),
            "2 numbers (25 images): 'x' from 0 to 5.5, mean 1.516; 'y' from -2.75 to 0, ",
            "copies with different numbers, so a number must be wrong",
        ),
    ],
)
def test_a_run_says_what_it_read_and_its_command_reads_it_again(
    tables: Path,
    tmp_path: Path,
    table: str,
    columns: str,
    kind: str,
    names: list[str],
    read: str,
    contradicts: str,
) -> None:
    listener = Listener()
    study = hf.compare(tables / table, label_column=columns, callbacks=listener, **BARE)
    assert study.results["targets"] == {"kind": kind, "names": names}
    assert listener.has_line(read)
    assert listener.has_line(f"WARNING: 1 picture has {contradicts}. The first: ")
    words = shlex.split(study.results["settings"]["command"])
    assert words[words.index("--label-column") + 1] == columns
    study.save(tmp_path / "run")
    source, again = read_run(tmp_path / "run")  # as finetune goes on from it
    assert source == str(tables / table)
    assert again["label_column"] == columns


def test_labels_that_no_readable_image_has_are_named_or_left_out(
    tables: Path, tmp_path: Path
) -> None:
    (tables / "broken.jpg").write_bytes(b"no picture")
    frame = pd.read_csv(tables / "tags.csv", keep_default_na=False)
    for number in range(3):
        shutil.copy(tables / "broken.jpg", tables / f"broken{number}.jpg")
        frame.loc[len(frame)] = [f"broken{number}.jpg", "sea;fog"]
    frame.to_csv(tmp_path / "tags.csv", index=False)
    options = {**BARE, "label_column": "tags", "root": tables}
    with pytest.raises(hf.DataError, match=r"Labels without a training image .*: 'fog' \(.*these"):
        hf.compare(tmp_path / "tags.csv", **options)
    listener = Listener()
    study = hf.compare(
        tmp_path / "tags.csv", skip_empty_classes=True, callbacks=listener, **options
    )
    assert study.results["targets"]["names"] == ["sea", "sky"]
    assert listener.has_line("Left out: 'broken0.jpg' (")
    assert listener.has_line("WARNING: 'fog' is no label: no training image of it can be read.")


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"label_column": "same", "target": "number"}, hf.DataError, "The number 'same' is 3 for"),
        (
            {"label_column": "tag", "target": "labels"},
            hf.DataError,
            r"few images: 'once' \(1\)",
        ),
        (
            {"label_column": "tag", "target": "number"},
            hf.DataError,
            "'alone' in row 2 and 24",
        ),
        (
            {"label_column": "x,y", "class_weight": "balanced"},
            hf.UsageError,
            "`class_weight` must be 'auto' or 'none' for numbers",
        ),
        ({"target": "place"}, hf.UsageError, "`target` must be one of class, labels, number"),
    ],
)
def test_what_cannot_be_learned_is_refused_before_any_pass(
    tables: Path, options: dict[str, Any], error: type[Exception], match: str
) -> None:
    listener = Listener()
    with pytest.raises(error, match=match):
        hf.compare(tables / "places.csv", callbacks=listener, **{**BARE, **options})
    assert not any("backbone" in stage for stage in listener.stages)


def test_the_command_line_takes_targets_and_names_its_options(
    tables: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["compare", str(tables / "places.csv"), "--out", str(tmp_path / "run")]
    assert main([*run, "--label-column", "same", "--target", "number"]) == 1
    assert "The number 'same' is 3 for all 25 training images" in capsys.readouterr().err
    assert main([*run, "--label-column", "x,y", "--target", "class"]) == 2
    assert "--label-column must be one column where the target is class" in capsys.readouterr().err
    assert main([*run, "--target", "words"]) == 2


@pytest.mark.parametrize(
    ("column", "verdicts"),
    [("x,y", ["necessary"]), ("colour", ["not_necessary", "equivalent"])],
)
def test_where_a_disc_is_needs_positions_and_its_colour_does_not(
    tmp_path_factory: pytest.TempPathFactory, column: str, verdicts: list[str]
) -> None:
    folder = write_sample("position", tmp_path_factory.getbasetemp() / "discs")
    options: dict[str, Any] = {"protocol": "quick", "where": False, "curve": False}
    study = hf.compare(folder / "images.csv", label_column=column, heads="gap,flatten", **options)
    verdict = study.results["verdict"]
    assert verdict["metric"] == "r2"
    assert verdict["flatten"] in verdicts
    assert (verdict["difference"]["mean"] > 0.3) == (column == "x,y")
