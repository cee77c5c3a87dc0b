"""What a comparison decides beside its heads: price, folds, groups, several backbones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

import headfit as hf
from headfit.heads.chain import parse_heads
from headfit.runs import estimate as price
from headfit.runs.options import PROTOCOLS, Options
from headfit.runs.shift import moved, sample
from headfit.study.comparison.results import on_front
from listener import Listener
from photos import CLASSES, write_folder

BARE: dict[str, Any] = {"size": 64, "protocol": "quick", "where": False, "curve": False}
MAPS = (7, 7, 1280)


def _write_tiles(folder: Path) -> None:
    """Write eight pieces of a photograph for each class, from three parts of it."""
    picture = data.astronaut()
    for part, name in enumerate(CLASSES):
        (folder / name).mkdir()
        for number in range(8):
            y, x = 128 * (number // 2), 170 * part + 85 * (number % 2)
            tile = picture[y : y + 128, x : x + 85]
            Image.fromarray(tile).save(folder / name / f"0{number}.jpg", quality=95)


def test_protocols_are_those_of_the_method() -> None:
    assert {n: (p.repeats, p.folds) for n, p in PROTOCOLS.items()} == {
        "quick": (1, 5),
        "standard": (5, 10),
        "thorough": (10, 10),
    }
    assert (Options().rounds, Options().most_folds) == (5, 10)
    assert (Options(repeats=2, folds=4).rounds, Options(folds=4).most_folds) == (2, 4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"protocol": "swift"}, "--protocol 'swift' is none of quick, standard, thorough"),
        ({"backbone": "MobileNet,mobilenet"}, "names one twice"),
        (
            {"backbone": "MobileNet,VGG16", "weights": "random,random,random"},
            "names 2, --weights 3",
        ),
        ({"folds": 2}, "--folds 2 is too small"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(hf.UsageError, match=said):
        Options(**options).check()


def test_a_thorough_protocol_costs_more_and_a_network_most() -> None:
    heads = parse_heads("gap,flatten,gap-1024")
    costs = {
        name: price.heads_seconds(
            heads, MAPS, 1000, 10, folds=p.folds, repeats=p.repeats, quick=p.quick
        )
        for name, p in PROTOCOLS.items()
    }
    for head in ("gap", "flatten", "gap-1024"):
        assert costs["quick"][head] < costs["standard"][head] < costs["thorough"][head]
    assert costs["standard"]["gap-1024"] > 5 * costs["standard"]["flatten"]
    said = price.sentence(costs["standard"], 0, (1000, 9.0), Options(), 10)
    assert "1,000 images through the backbone 9 s" in said and "5 × 10 folds" in said
    assert "gap-1024 alone" in said and "--protocol quick" in said


def test_the_price_is_told_before_images_pass_and_before_training(tmp_path: Path) -> None:
    write_folder(tmp_path, 5, seed=77)  # seen by no other test
    first, second, third = Listener(), Listener(), Listener()
    hf.compare(tmp_path, heads="gap", callback=first, **BARE)
    assert first.lines.index(next(line for line in first.lines if line.startswith("About"))) < 3
    assert first.said("15 images through the backbone")
    hf.compare(tmp_path, heads="gap,gmp", callback=second, **BARE)
    assert second.said("About") and not second.said("images through the backbone")
    hf.compare(tmp_path, heads="gap,gmp", callback=third, **BARE)
    assert not third.said("About")  # everything was kept: it costs nothing


def test_folds_give_way_to_small_classes_unless_they_were_asked_for(tmp_path: Path) -> None:
    write_folder(tmp_path, 4)
    listener = Listener()
    study = hf.compare(tmp_path, heads="gap", callback=listener, **BARE)
    assert study.results["settings"]["folds"] == 4
    assert listener.said("4 folds instead of 5: a class has only 4 images")
    with pytest.raises(hf.DataError, match="at least 5"):
        hf.compare(tmp_path, heads="gap", folds=5, **BARE)


def test_near_duplicates_stay_in_one_fold_unless_they_are_to_be_ignored(tmp_path: Path) -> None:
    _write_tiles(tmp_path)
    for name in CLASSES:
        for number in (1, 2):
            with Image.open(tmp_path / name / f"0{number}.jpg") as image:
                image.save(tmp_path / name / f"again{number}.jpg", quality=80)
    listener = Listener()
    study = hf.compare(tmp_path, heads="gap", callback=listener, **BARE)
    assert listener.said("12 images are near-duplicates of others, in 6 groups")
    assert study.results["groups"]["near_duplicates"] == {"groups": 6, "images": 12, "largest": 2}
    paths = list(study.index.paths)
    for name in CLASSES:
        for number in (1, 2):
            pair = [paths.index(f"{name}/{stem}{number}.jpg") for stem in ("0", "again")]
            assert len(set(study.folds[0, pair])) == 1
    torn = hf.compare(tmp_path, heads="gap", near_duplicates=False, repeats=5, **BARE)
    pairs = [
        [paths.index(f"{name}/{stem}{n}.jpg") for stem in ("0", "again")]
        for name in CLASSES
        for n in (1, 2)
    ]
    assert any(torn.folds[r, a] != torn.folds[r, b] for r in range(5) for a, b in pairs)
    assert "near_duplicates" not in torn.results["groups"]


def test_the_users_groups_stay_in_one_fold(tmp_path: Path) -> None:
    write_folder(tmp_path, 12)
    for path in sorted(tmp_path.glob("*/*.jpg")):
        path.rename(path.with_name(f"patient{int(path.stem) // 2}_{path.name}"))
    listener = Listener()
    study = hf.compare(
        tmp_path, heads="gap", groups=r"(\w+)/patient(\d+)", callback=listener, **BARE
    )
    assert listener.said("18 groups by --groups")
    people = np.array([path.partition("_")[0] for path in study.index.paths])
    for person in set(people):
        assert len(set(study.folds[0, people == person])) == 1
    file = tmp_path / "groups.csv"
    rows = [f"{path},{people[i]}" for i, path in enumerate(study.index.paths)]
    file.write_text("\n".join(["path,group", *rows]))
    again = hf.compare(tmp_path, heads="gap", groups=str(file), **BARE)
    np.testing.assert_array_equal(again.folds, study.folds)
    assert str(file) in again.results["settings"]["command"]


@pytest.mark.parametrize("given", ["no such thing", "(", "{folder}/partial.csv"])
def test_groups_that_cannot_be_are_refused_before_any_image_is_read(
    given: str, tmp_path: Path
) -> None:
    write_folder(tmp_path, 4, seed=78)
    (tmp_path / "partial.csv").write_text("path,group\nred/00.jpg,1\n")
    listener = Listener()
    with pytest.raises(hf.HeadfitError, match=r"groups|partial\.csv"):
        hf.compare(
            tmp_path, heads="gap", groups=given.format(folder=tmp_path), callback=listener, **BARE
        )
    assert listener.stages == ["Looking for images"]


@pytest.mark.slow
def test_backbones_are_compared_on_the_same_folds(tmp_path: Path) -> None:
    write_folder(tmp_path, 12)
    listener = Listener()
    study = hf.compare(
        tmp_path,
        backbone="efficientnet_lite0,MobileNet",
        weights="imagenet,random",
        heads="gap,flatten",
        callback=listener,
        **BARE,
    )
    results = study.results
    names = [c["name"] for c in results["candidates"]]
    assert names == [
        *("efficientnet_lite0/gap", "efficientnet_lite0/flatten", "MobileNet/gap"),
        "MobileNet/flatten",
    ]
    assert study.recommended in names
    assert [b["backbone"] for b in results["backbones"]] == ["efficientnet_lite0", "MobileNet"]
    assert all(b["verdict"]["flatten"] for b in results["backbones"])
    assert results["images"]["computed"] + results["images"]["cached"] == 2 * 36
    assert any(c["pareto"]["parameters"] for c in results["candidates"])
    assert listener.said("RANDOM")
    json.dumps(results, allow_nan=False)
    study.save(tmp_path / "run")
    classifier = hf.Classifier.load(tmp_path / "run" / "model.keras")
    assert classifier.record.backbone == study.recommended.partition("/")[0]


@pytest.mark.slow
def test_how_much_where_matters_and_what_more_images_bring_are_in_the_results(
    tmp_path: Path,
) -> None:
    write_folder(tmp_path, 20)
    study = hf.compare(tmp_path, heads="gap,flatten", size=64, protocol="quick")
    where, curve = study.results["where"], study.results["learning_curve"]
    taus = [point["tau"] for point in where["spectrum"]["curve"]]
    assert (taus[0], taus[-1]) == (1.0, 0.0)
    assert set(where) >= {"sentence", "spectrum", "shuffle", "projection", "shift"}
    assert [point["pixels"] for point in where["shift"]["curves"]["gap"]] == [2, 5, 9]
    assert curve["sentence"]
    json.dumps(study.results, allow_nan=False)
    again = hf.compare(tmp_path, heads="gap,flatten", size=64, protocol="quick")
    assert again.results["where"] == where and again.results["learning_curve"] == curve
    assert {look["label"] for look in where["looks"]} == {"blue", "green", "red"}
    (tmp_path / "red").rename(tmp_path / "rust")  # nothing is computed, and names are today's
    looks = hf.compare(tmp_path, heads="gap,flatten", size=64, protocol="quick").results["where"][
        "looks"
    ]
    assert {look["label"] for look in looks} == {"blue", "green", "rust"}
    assert all((tmp_path / look["path"]).is_file() for look in looks)


def test_a_picture_is_moved_and_its_edge_repeated() -> None:
    image = np.arange(2 * 3 * 1).reshape(2, 3, 1)
    np.testing.assert_array_equal(moved(image, 0, 1)[..., 0], [[0, 0, 1], [3, 3, 4]])
    np.testing.assert_array_equal(moved(image, -1, 0)[..., 0], [[3, 4, 5], [3, 4, 5]])
    np.testing.assert_array_equal(moved(image, 0, 0), image)


def test_the_images_to_move_are_of_every_class_alike() -> None:
    labels = np.repeat([0, 1, 2], [300, 100, 20])
    some = sample(labels, seed=0)
    assert len(some) == 52 and len(set(some.tolist())) == 52
    np.testing.assert_allclose(np.bincount(labels[some]), [17, 17, 17], atol=1)
    np.testing.assert_array_equal(some, sample(labels, seed=0))
    assert len(sample(labels[:9], 0)) == 9


def test_on_the_front_is_who_is_beaten_by_nobody() -> None:
    scores = np.array([0.9, 0.8, 0.8, 0.95, 0.7, 0.9])
    costs = np.array([10.0, 5.0, 5.0, 50.0, np.nan, 12.0])
    np.testing.assert_array_equal(on_front(scores, costs), [True, True, True, True, False, False])


@pytest.mark.slow
def test_a_backbone_that_cannot_run_now_costs_only_the_shift(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path, 8, seed=79)
    options = {**BARE, "heads": "gap,flatten"}
    hf.compare(tmp_path, **options)

    def fails(*_: Any, **__: Any) -> None:
        raise hf.EngineError("no engine today")

    listener = Listener()
    with monkeypatch.context() as patched:
        patched.setattr("headfit.runs.map_source.open_engine", fails)
        study = hf.compare(tmp_path, callback=listener, **{**options, "where": True})
    assert study.results["where"]["shift"] is None
    assert listener.said("What moving the image changes was not measured: no engine today")
    again = hf.compare(tmp_path, **{**options, "where": True})
    assert again.results["where"]["shift"]["images"] == 16
