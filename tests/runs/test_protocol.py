"""What a comparison decides beside its heads: time, folds, groups, several backbones."""

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
from headfit.runs import estimate
from headfit.runs.estimate import Workload
from headfit.runs.options import PROTOCOLS, Options
from headfit.runs.shift import choose_images, moved
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
    assert (Options().rounds, Options().max_folds) == (5, 10)
    assert (Options(repeats=2, folds=4).rounds, Options(folds=4).max_folds) == (2, 4)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("protocol", "swift", "one of quick, standard, thorough"),
        ("protocol", None, "one of quick, standard, thorough"),
        ("engine", "", "one of auto, openvino, keras"),
        ("feature_dtype", "float8", "one of float16, float32"),
        ("backbone", "MobileNet,mobilenet", "backbones that differ"),
        ("backbone", None, "a name or a path, or several of them"),
        ("backbone", "", "a name or a path, or several of them"),
        ("weights", "random,random,random", "one for all backbones, or one for each of the 1"),
        ("weights", None, "a name or a path, or several of them"),
        ("folds", 2, "an integer of at least 3"),
        ("folds", "5", "an integer of at least 3"),
        ("repeats", 0, "an integer of at least 1"),
        ("repeats", True, "an integer of at least 1"),
        ("seed", None, "an integer of at least 0"),
        ("seed", 2**32, "an integer of at most 4294967295"),
        ("rope", "0.01", "a number between 0 and 1"),
        ("groups", "", "the path of a CSV file, or a regular expression on image paths"),
        ("near_duplicates", None, "True or False"),
        ("keep", "gem,lse", "heads that are compared: gap, flatten"),
        ("heads", 5, "a head, or several in a list"),
        ("keep", True, "a head, or several in a list"),
        ("cut", 5, "a layer or a list of them"),
        ("size", b"96", "a number of pixels or a list of them"),
        ("backbone", "x" * 5000, "a name or a path, or several of them"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(
    name: str, value: object, expected: str
) -> None:
    options: dict[str, Any] = {"heads": "gap,flatten", name: value}
    with pytest.raises(hf.UsageError) as caught:
        Options(**options).check()
    message = str(caught.value)
    assert message.startswith(f"`{name}` must be {expected}")
    assert f". Received: {name}={value!r}." in message


@pytest.mark.parametrize("images", [None, "", 5])
def test_images_are_a_folder_or_an_index(images: Any) -> None:
    for function in (hf.compare, hf.rank):
        with pytest.raises(hf.UsageError, match=r"`images` must be a folder, a table or a "):
            function(images)


@pytest.mark.parametrize("callbacks", [print, [print], "listener"])
def test_callbacks_are_callbacks(callbacks: Any) -> None:
    for function in (hf.compare, hf.rank):
        with pytest.raises(hf.UsageError, match=r"`callbacks` must be a headfit\.Callback, or sev"):
            function("photos", callbacks=callbacks)


def test_several_values_are_a_text_with_commas_a_list_or_an_iterator(tmp_path: Path) -> None:
    names, sizes = ["MobileNet", "VGG16"], [96, 128]
    for backbone, size in (
        ("MobileNet, VGG16", "96,128"),
        (names, np.array(sizes)),
        (iter(names), iter(sizes)),
    ):
        options = Options(backbone=backbone, weights="random", size=size, heads=iter(["gap"]))
        for _ in range(2):
            points, heads = options.check()
            assert [(p.spec.name, p.size) for p in points] == [(n, s) for n in names for s in sizes]
            assert [head.name for head in heads] == ["gap"]
    groups = tmp_path / "groups.csv"
    options = Options(groups=groups, seed=np.int64(3))
    assert (options.groups, options.seed) == (str(groups), 3)
    json.dumps(options.seed)


def test_a_thorough_protocol_takes_longer_and_a_network_longest() -> None:
    heads = parse_heads("gap,flatten,gap-1024")
    work = {
        name: Workload(1000, 10, folds=p.folds, options=Options(protocol=name))
        for name, p in PROTOCOLS.items()
    }
    times = {name: estimate.heads_seconds(heads, MAPS, each) for name, each in work.items()}
    for head in ("gap", "flatten", "gap-1024"):
        assert times["quick"][head] < times["standard"][head] < times["thorough"][head]
    assert times["standard"]["gap-1024"] > 5 * times["standard"]["flatten"]
    text = estimate.sentence(times["standard"], 0, work["standard"], 1000, 9.0)
    assert text.startswith("Estimated time: about")
    assert "1,000 images through the backbone 9 s" in text and "5 × 10 folds" in text
    assert "gap-1024 alone" in text and "`protocol='quick'`" in text


def test_the_estimated_time_is_told_before_images_pass_and_before_training(tmp_path: Path) -> None:
    write_folder(tmp_path, 5, seed=77)  # seen by no other test
    first, second, third = Listener(), Listener(), Listener()
    hf.compare(tmp_path, heads="gap", callbacks=first, **BARE)
    assert (
        first.lines.index(next(line for line in first.lines if line.startswith("Estimated time")))
        < 3
    )
    assert first.has_line("15 images through the backbone")
    hf.compare(tmp_path, heads="gap,gmp", callbacks=second, **BARE)
    assert second.has_line("Estimated time") and not second.has_line("images through the backbone")
    hf.compare(tmp_path, heads="gap,gmp", callbacks=third, **BARE)
    assert not third.has_line("Estimated time")  # everything was stored: it takes none


def test_folds_give_way_to_small_classes_unless_they_were_asked_for(tmp_path: Path) -> None:
    write_folder(tmp_path, 4)
    listener = Listener()
    study = hf.compare(tmp_path, heads="gap", callbacks=listener, **BARE)
    assert study.results["settings"]["folds"] == 4
    assert listener.has_line("4 folds instead of 5: class 'blue' has only 4 images")
    with pytest.raises(hf.DataError, match="At least 5"):
        hf.compare(tmp_path, heads="gap", folds=5, **BARE)


def test_near_duplicates_stay_in_one_fold_unless_they_are_to_be_ignored(tmp_path: Path) -> None:
    _write_tiles(tmp_path)
    for name in CLASSES:
        for number in (1, 2):
            with Image.open(tmp_path / name / f"0{number}.jpg") as image:
                image.save(tmp_path / name / f"again{number}.jpg", quality=80)
    listener = Listener()
    study = hf.compare(tmp_path, heads="gap", callbacks=listener, **BARE)
    assert listener.has_line("12 images are near-duplicates of others, in 6 groups")
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
        tmp_path, heads="gap", groups=r"(\w+)/patient(\d+)", callbacks=listener, **BARE
    )
    assert listener.has_line("18 groups from `groups=")
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
            tmp_path, heads="gap", groups=given.format(folder=tmp_path), callbacks=listener, **BARE
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
        callbacks=listener,
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
    assert listener.has_line("RANDOM")
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
    some = choose_images(labels, seed=0)
    assert len(some) == 52 and len(set(some.tolist())) == 52
    np.testing.assert_allclose(np.bincount(labels[some]), [17, 17, 17], atol=1)
    np.testing.assert_array_equal(some, choose_images(labels, seed=0))
    assert len(choose_images(labels[:9], 0)) == 9


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
        study = hf.compare(tmp_path, callbacks=listener, **{**options, "where": True})
    assert study.results["where"]["shift"] is None
    assert listener.has_line("The effect of moving the image was not measured: no engine today")
    again = hf.compare(tmp_path, **{**options, "where": True})
    assert again.results["where"]["shift"]["images"] == 16
