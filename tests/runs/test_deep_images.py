"""Images of 12 bits in files of 16: every part of headfit sees them as the same ones of 8 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import headfit as hf
from headfit.images.sources.folder import FolderSource
from headfit.model.metadata import ModelRecord
from headfit.report.images import depth_of, thumbnails
from listener import Listener

QUICK: dict[str, Any] = {
    "heads": "gap,flatten",
    "size": 32,
    "protocol": "quick",
    "folds": 3,
    "where": False,
    "curve": False,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same pictures in 8 bits, and in 12 of 16 bits."""
    plain, deep = (tmp_path_factory.mktemp(name) for name in ("plain", "deep"))
    rng = np.random.default_rng(0)
    for kind, name in enumerate(("crack", "sound")):
        for folder in (plain, deep):
            (folder / name).mkdir()
        for number in range(9):
            pixels = rng.integers(0, 256, (40, 40)).astype(np.uint16)
            pixels[:: kind + 2] //= 3
            Image.fromarray(pixels.astype(np.uint8)).save(plain / name / f"{number}.png")
            levels = np.rint(pixels * (4095 / 255)).astype(np.uint16)
            Image.fromarray(levels).save(deep / name / f"{number}.tif")
    return plain, deep


@pytest.fixture(scope="module")
def studies(folders: tuple[Path, Path]) -> tuple[hf.Study, hf.Study, Listener]:
    listener = Listener()
    plain, deep = folders
    return hf.compare(plain, **QUICK), hf.compare(deep, callbacks=listener, **QUICK), listener


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*"))


def test_the_scaling_is_said_once_and_stored(
    studies: tuple[hf.Study, hf.Study, Listener], folders: tuple[Path, Path], tmp_path: Path
) -> None:
    plain, deep, listener = studies
    said = [line for line in listener.lines if "4,095 white" in line]
    assert said == [
        "18 images of 16 or 32 bits: 0 is black and 4,095 white, here and wherever the "
        "model is used."
    ]
    assert deep.results["settings"]["contract"]["depth"] == {"integers": [0.0, 4095.0]}
    assert "depth" not in plain.results["settings"]["contract"]
    model = deep.classifier().save(tmp_path / "model.keras")
    assert ModelRecord.read(model).contract.depth.integers == (0, 4095)


def test_everything_sees_the_same_images(
    studies: tuple[hf.Study, hf.Study, Listener], folders: tuple[Path, Path]
) -> None:
    plain, deep, _ = studies
    assert np.array_equal(plain.out_of_fold, deep.out_of_fold)
    of_plain, of_deep = (files(folder)[:3] for folder in folders)
    classifier = deep.classifier()
    np.testing.assert_array_equal(
        classifier.predict_proba(of_deep), classifier.predict_proba(of_plain)
    )
    np.testing.assert_array_equal(classifier.explain(of_deep), classifier.explain(of_plain))
    pictures = [
        thumbnails(FolderSource(folder), [name], depth=depth_of(study.results))[name]
        for study, folder, name in zip(
            (plain, deep), folders, ("crack/0.png", "crack/0.tif"), strict=True
        )
    ]
    assert pictures[0] == pictures[1]


def test_features_are_the_same_and_the_fit_decides_the_scaling(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    plain, deep = (
        hf.FeatureExtractor(size=32).fit(files(folder)).transform(files(folder))
        for folder in folders
    )
    np.testing.assert_array_equal(plain, deep)
    dark = tmp_path / "dark.tif"
    Image.fromarray(np.full((40, 40), 100, np.uint16)).save(dark)
    extractor = hf.FeatureExtractor(size=32).fit(files(folders[1]))
    assert extractor.depth_.integers == (0, 4095)
    black = tmp_path / "black.png"
    Image.new("L", (40, 40), 6).save(black)  # 100 / 4095 × 255
    np.testing.assert_array_equal(
        extractor.transform([dark]), hf.FeatureExtractor(size=32).transform([black])
    )


def test_rank_sees_the_same_images(folders: tuple[Path, Path]) -> None:
    plain, deep = (hf.rank(folder, "efficientnet_lite0", size=32) for folder in folders)
    names = ("balanced_accuracy", "penalty")
    assert [plain.results["backbones"][0][n] for n in names] == [
        deep.results["backbones"][0][n] for n in names
    ]
