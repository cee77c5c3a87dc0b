"""No command runs what a hostile model file holds: each refuses it in one line."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import pytest

import classifiers
import photos
from headfit.cli.main import main

SIDE = classifiers.SIDE

pytestmark = pytest.mark.slow


def code_in(model: Callable[[keras.Layer], keras.Model], marker: Path, path: Path) -> Path:
    """Save a model with a layer whose code would leave a file behind."""

    def trace(x: object, name: str = str(marker)) -> object:
        open(name, "w").close()  # noqa: PTH123
        return x

    model(keras.layers.Lambda(trace, output_shape=None)).save(path)
    marker.unlink(missing_ok=True)  # building the model ran it
    return path


def backbone(hidden: keras.Layer) -> keras.Model:
    image = keras.Input((SIDE, SIDE, 3))
    maps = hidden(keras.layers.Conv2D(4, 3, strides=4, padding="same")(image))
    pooled = keras.layers.GlobalAveragePooling2D()(maps)
    return keras.Model(image, keras.layers.Dense(2, activation="softmax")(pooled))


def head(hidden: keras.Layer) -> keras.Model:
    maps = keras.Input((None, None, 6))
    return keras.Model(maps, keras.layers.GlobalAveragePooling2D()(hidden(maps)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photos.write_folder(tmp_path_factory.mktemp("photos") / "all", 6)


@pytest.mark.parametrize(
    ("suffix", "command"),
    [
        (".keras", "inspect MODEL"),
        (".h5", "inspect MODEL"),
        (".h5", "convert MODEL --to flatten"),
        (".h5", "compare FOLDER --backbone MODEL --heads gap --out OUT"),
        (".keras", "rank FOLDER --backbone MODEL"),
        (".keras", "diagram --backbone MODEL --out OUT.svg"),
    ],
)
def test_a_foreign_model_with_code_is_refused(
    suffix: str,
    command: str,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    marker = tmp_path / "marker"
    path = code_in(backbone, marker, tmp_path / f"model{suffix}")
    refused(command, path, folder, marker, capsys)


@pytest.mark.parametrize("command", ["predict MODEL FOLDER", "explain MODEL FOLDER --out OUT"])
def test_a_classifier_with_code_is_refused(
    command: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = tmp_path / "marker"
    path = code_in(backbone, marker, tmp_path / "model.keras")
    sound = classifiers.random_classifier("gap", tmp_path / "sound.keras")
    with zipfile.ZipFile(sound) as source, zipfile.ZipFile(path, "a") as target:
        target.writestr("headfit.json", source.read("headfit.json"))
    refused(command, path, folder, marker, capsys)


def test_a_custom_head_with_code_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = tmp_path / "marker"
    path = code_in(head, marker, tmp_path / "my_head.keras")
    sound = classifiers.random_classifier("gap", tmp_path / "sound.keras")
    command = f"compare FOLDER --backbone {sound} --heads gap,MODEL --out OUT"
    refused(command, path, folder, marker, capsys)


def refused(
    command: str, model: Path, folder: Path, marker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"MODEL": str(model), "FOLDER": str(folder), "OUT": str(model.parent / "out")}
    words = [places.get(word, word.replace("OUT", places["OUT"])) for word in command.split()]
    words = [word.replace("gap,MODEL", f"gap,{model}") for word in words]
    assert main(words) in (1, 2)
    error = capsys.readouterr().err
    assert "holds a Lambda layer, which is code" in error
    assert not marker.exists()
