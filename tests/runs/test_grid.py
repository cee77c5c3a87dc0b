"""Several sizes and cuts in one comparison, on the embedded backbone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import headfit as hf
from headfit.backbones.catalog import find
from headfit.backbones.engines.engine import open_engine, open_joint
from headfit.backbones.engines.interface import probe_images
from headfit.cli.show import show_study
from headfit.errors import UsageError
from headfit.progress import Callback
from headfit.runs import map_source as maps
from headfit.runs.options import Options
from headfit.util.cache import FEATURES
from photos import write_folder

SIZES, CUTS = (32, 64), ("block3_expand_relu", "block5_expand_relu", "end")
HEADS = ("gap", "flatten", "gmp", "avgmax")
SHAPES = {
    32: ([8, 8, 144], [4, 4, 240], [1, 1, 1280]),
    64: ([16, 16, 144], [8, 8, 240], [2, 2, 1280]),
}
QUICK: dict[str, Any] = {"protocol": "quick", "folds": 3, "where": False, "curve": False}
RANDOM: dict[str, Any] = {"backbone": "MobileNet", "weights": "random", "size": 32}
TINY = find("MobileNet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    write_folder(root, 8)
    return root


@pytest.fixture(scope="module")
def opened() -> list[int]:
    """The input size of every pass that was made."""
    return []


@pytest.fixture(scope="module")
def study(folder: Path, opened: list[int]) -> hf.Study:
    def noting(*args: Any, **kwargs: Any) -> Any:
        opened.append(args[1].width)
        return open_joint(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maps, "open_joint", noting)
        grid = {"size": ",".join(map(str, SIZES)), "cut": ",".join(CUTS)}
        return hf.compare(folder, heads=",".join(HEADS), **grid, **QUICK)


def test_two_sizes_three_cuts_and_four_heads_take_one_pass_a_size(
    study: hf.Study, opened: list[int]
) -> None:
    assert opened == list(SIZES)
    found = study.results["candidates"]
    assert [c["name"] for c in found] == [
        f"{size}px:{cut}/{head}" for size in SIZES for cut in CUTS for head in HEADS
    ]
    for number, candidate in enumerate(found):
        size, place = SIZES[number // 12], number % 12 // 4
        assert candidate["input_size"] == size
        assert candidate["cut"] == (None if CUTS[place] == "end" else CUTS[place])
        assert candidate["map_shape"] == SHAPES[size][place]
        height, width, channels = candidate["map_shape"]
        inputs = {"flatten": height * width, "avgmax": 2}.get(candidate["head"], 1) * channels
        assert candidate["parameters"]["head"] == (inputs + 1) * 3
        assert candidate["latency_ms"] > 0
    whole = [c["parameters"]["backbone"] for c in found[::4]]
    assert whole == 2 * [whole[0], whole[1], 3_413_024]
    assert whole[0] < whole[1] < 3_413_024


def test_a_cut_that_shared_a_pass_needs_none_alone(
    study: hf.Study, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(maps, "open_joint")
    alone = hf.compare(folder, heads="gap", size=64, cut="block5_expand_relu", **QUICK)
    (mine,) = alone.results["candidates"]
    theirs = {c["name"]: c for c in study.results["candidates"]}["64px:block5_expand_relu/gap"]
    assert mine["name"] == "gap"
    assert mine["log_loss"] == theirs["log_loss"]
    assert alone.results["images"]["computed"] == 0


def test_the_saved_model_ends_at_the_recommended_cut(
    study: hf.Study, folder: Path, tmp_path: Path
) -> None:
    study.save(tmp_path)
    chosen = study.results["verdict"]["recommended"]
    (best,) = [c for c in study.results["candidates"] if c["name"] == chosen]
    classifier = hf.Classifier.load(tmp_path / "model.keras")
    assert classifier.contract.width == best["input_size"]
    images = [folder / path for path in study.index.paths]
    found = classifier.predict(images)
    labels = [study.index.classes[label] for label in study.index.labels]
    assert np.mean(np.array(found) == labels) > 0.9


def test_the_command_repeats_the_grid(study: hf.Study) -> None:
    command = study.results["settings"]["command"]
    assert "--size 32,64 --cut block3_expand_relu,block5_expand_relu,end " in command


def test_people_see_maps_parameters_and_scores_change(
    study: hf.Study, capsys: pytest.CaptureFixture[str]
) -> None:
    show_study(Console(width=120, emoji=False), study.results, "run")
    text = capsys.readouterr().out
    assert "efficientnet_lite0 in 6 combinations of size and cut" in text
    for place in study.results["backbones"]:
        rows = [line.split() for line in text.splitlines() if line.startswith(place["name"] + " ")]
        assert rows[-1][1] == "×".join(map(str, place["map_shape"]))
    assert f"→ {study.results['verdict']['recommended']}" in text


def test_a_joined_cut_is_one_map_of_averages(folder: Path) -> None:
    cuts = "conv_pw_5_relu+conv_pw_13_relu,end"
    found = hf.compare(folder, heads="gap", cut=cuts, **RANDOM, **QUICK)
    joined, _ = found.results["candidates"]
    assert joined["map_shape"] == [1, 1, 256 + 1024]
    assert joined["parameters"] == {
        "head": 1281 * 3,
        "backbone": 3_228_864,
        "total": 1281 * 3 + 3_228_864,
    }


def test_a_head_on_several_layers_gets_them_from_the_same_pass(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts: list[list[str]] = []

    def noting(*args: Any, **kwargs: Any) -> Any:
        cuts.append(list(args[3]))
        return open_joint(*args, **kwargs)

    monkeypatch.setattr(maps, "open_joint", noting)
    found = hf.compare(folder, heads="gap,multi_layer", **RANDOM, **QUICK)
    assert cuts == [["", "multi"]]
    gap, multi = found.results["candidates"]
    assert (gap["name"], multi["name"]) == ("gap", "multi_layer")
    assert multi["cut"] == "conv_pw_5_relu+conv_pw_11_relu+conv_pw_13_relu"
    assert multi["parameters"]["head"] == (256 + 512 + 1024 + 1) * 3
    assert len(found.results["backbones"]) == 1
    alone = hf.compare(folder, heads="multi_layer", **RANDOM, **QUICK)
    assert alone.results["candidates"][0]["log_loss"] == multi["log_loss"]
    alone.save(tmp_path)
    images = [folder / path for path in alone.index.paths]
    assert len(hf.Classifier.load(tmp_path / "model.keras").predict(images[:3])) == 3


@pytest.mark.parametrize("engine", ["openvino", "keras"])
def test_several_cuts_at_once_are_each_of_them_alone(engine: str) -> None:
    cuts, contract = ["", "conv_pw_3_relu"], TINY.contract(32)
    joint = open_joint(TINY, contract, "random", cuts, engine=engine)
    images = probe_images(32, 32, 5)
    together = dict(joint.run((i, image[None]) for i, image in enumerate(images)))
    for number, cut in enumerate(cuts):
        found = np.concatenate([together[i][number] for i in range(5)])
        alone = open_engine(TINY, contract, "random", engine=engine, cut=cut)
        for one in (alone, joint.only(number)):
            expected = dict(one.run((i, image[None]) for i, image in enumerate(images)))
            expected = np.concatenate([expected[i] for i in range(5)])
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
            assert one.info.map_shape == found.shape[1:]
            assert one.info.parameters == joint.parts[number].parameters
            assert one.info.weights_digest == joint.parts[number].weights_digest


def test_an_image_that_one_store_lacks_passes_once_for_it_alone(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, 8, seed=41)  # photographs of this test alone
    # with the graphs of the test above
    options = Options(backbone="MobileNet", weights="random", size=32, cut="end,conv_pw_3_relu")
    places, _ = options.check()
    index = hf.ImageIndex.from_directory(folder)
    sources = [maps.MapSource.of(place, options, Callback()) for place in places]

    def stored() -> np.ndarray:
        blocks = [FEATURES.path(source.key).glob("b*.npy") for source in sources]
        return np.array([sum(len(np.load(b, mmap_mode="r")) for b in each) for each in blocks])

    before = stored()  # by other tests
    (first,) = maps.maps_of(sources[:1], index.subset(np.arange(10)))
    whole, early = maps.maps_of(sources, index)
    assert (first.computed, whole.computed, early.computed) == (10, 24, 24)
    assert (stored() - before).tolist() == [24, 24]


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("size", "96,big", r"`size` must be a number of pixels.*Received: size='96,big'"),
        ("size", "96,-1", r"`size` must be a number of pixels.*Received: size='96,-1'"),
        ("size", "", r"Received: size=''"),
        ("size", 96.0, r"Received: size=96\.0"),
        ("size", [], r"Received: size=\(\)"),
        ("size", "96,5000", r"`size` must be from 32 to 2048 pixels for efficientnet_lite0"),
        ("cut", "a,+b", r"`cut` must be a layer.*Received: cut='a,\+b'"),
        ("cut", ",", r"Received: cut=','"),
    ],
)
def test_an_impossible_grid_is_refused_before_anything_is_done(
    argument: str, value: object, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        hf.compare(tmp_path / "absent", **{argument: value})


def test_a_cut_that_is_not_there_lists_some_that_are(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"layer of MobileNet .*'block9'. There is no.*relu"):
        hf.compare(folder, backbone="MobileNet", weights="random", size=32, cut="block9", **QUICK)


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        ({}, ["MobileNet"]),
        ({"backbone": "MobileNet,VGG16"}, ["MobileNet", "VGG16"]),
        ({"size": [96, 128]}, ["96px", "128px"]),
        ({"cut": ["a", "end"]}, ["a", "end"]),
        (
            {"backbone": "MobileNet,VGG16", "cut": "a,b"},
            ["MobileNet:a", "MobileNet:b", "VGG16:a", "VGG16:b"],
        ),
    ],
)
def test_places_are_named_by_what_tells_them_apart(
    grid: dict[str, Any], expected: list[str]
) -> None:
    options = Options(**{"backbone": "MobileNet", "weights": "random", **grid})
    places, _ = options.check()
    sources = [maps.MapSource.of(p, options, Callback()) for p in places]
    assert maps.source_names(sources) == expected
