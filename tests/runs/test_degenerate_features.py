"""Backbones whose maps are tiny, huge, or the same for all images, as in shared/cases."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import headfit as hf

SIDE = 32


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten flat and ten striped pictures, of a brightness of their own each."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for name, stripes in (("flat", 40), ("striped", 60)):
        (folder / name).mkdir()
        for number in range(10):
            pixels = rng.integers(0, 80, (SIDE, SIDE, 3)) + rng.integers(0, 100)
            pixels[::2] += rng.integers(0, stripes)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder


def saved(folder: Path, factor: float = 1, bias: float = 0) -> Path:
    """Save a network whose last maps are multiplied by a factor."""
    keras.utils.set_random_seed(4)
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    last = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="last")
    model = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(last(x))))
    kernel, _ = last.get_weights()
    last.set_weights([kernel * factor, np.full(6, bias)])
    path = folder / f"net{factor:g}_{bias:g}.keras"
    model.save(path)
    return path


class Messages(hf.Callback):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def on_message(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def ranked(
    tmp_path_factory: pytest.TempPathFactory, images: Path
) -> tuple[dict[str, float], list[str]]:
    """The balanced accuracy of each network, and what was said."""
    folder = tmp_path_factory.mktemp("models")
    networks = {
        "ordinary": saved(folder, 1),
        "large": saved(folder, 1e6),
        "small": saved(folder, 1e-19),
        "dead": saved(folder, 1, -1e3),
    }
    messages = Messages()
    ranking = hf.rank(images, list(map(str, networks.values())), engine="keras", callbacks=messages)
    scores = {
        row["backbone"]: row["balanced_accuracy"]["mean"] for row in ranking.results["backbones"]
    }
    return {name: scores[path.stem] for name, path in networks.items()}, messages.lines


def test_maps_of_any_scale_score_as_those_of_ordinary_scale(
    ranked: tuple[dict[str, float], list[str]],
) -> None:
    scores, _ = ranked
    assert scores["large"] == scores["small"] == scores["ordinary"] > 0.5


def test_maps_that_are_equal_are_said_and_are_as_good_as_a_guess(
    ranked: tuple[dict[str, float], list[str]],
) -> None:
    scores, messages = ranked
    assert scores["dead"] == pytest.approx(0.5)
    (said,) = (line for line in messages if "are equal" in line)
    assert "feature maps of all 20 images" in said
    assert "net1_-1000" in said


def test_copies_of_one_image_are_called_that(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "copies" / name).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (SIDE, SIDE)).save(tmp_path / "copies" / name / f"{number}.png")
    messages = Messages()
    with pytest.raises(hf.HeadfitError):  # all one group: nothing is left to train on
        hf.rank(tmp_path / "copies", str(saved(tmp_path)), engine="keras", callbacks=messages)
    assert any("all 6 images are copies of one" in line for line in messages.lines)
