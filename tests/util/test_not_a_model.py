"""What people hand over as a model, recognised by content and not by name."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import h5py
import keras
import numpy as np
import pytest

from headfit.cli.main import main
from headfit.errors import ModelFileError, UsageError
from headfit.model.metadata import ModelRecord
from headfit.util import saved_model

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 123\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    image = keras.Input((8, 8, 3))
    x = keras.layers.DepthwiseConv2D(3)(keras.layers.Conv2D(4, 3)(image))
    outputs = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, outputs)
    model.save(root / "good.keras")
    model.save(root / "good.h5")
    model.save_weights(root / "only.weights.h5")
    with h5py.File(root / "old.h5", "w") as file:
        file.attrs["layer_names"] = [b"c"]
    (root / "saved_model").mkdir()
    (root / "saved_model/saved_model.pb").write_bytes(b"\x08\x01")
    with zipfile.ZipFile(root / "good.keras") as archive:
        archive.extractall(root / "unpacked.keras")
    with zipfile.ZipFile(root / "torch.h5", "w") as archive:
        archive.writestr("model/data.pkl", b"")
    for name in ("good.keras", "good.h5"):
        (root / f"cut-{name}").write_bytes((root / name).read_bytes()[:3000])
    (root / "lfs.keras").write_text(LFS)
    (root / "page.keras").write_text("<!DOCTYPE html><html>")
    (root / "config.keras").write_text(model.to_json())
    (root / "empty.h5").touch()
    (root / "pickle.h5").write_bytes(b"\x80\x04\x95")
    (root / "lite.keras").write_bytes(b"\x1c\0\0\0TFL3")
    (root / "text.keras").write_text("anything")
    (root / "hdf5.keras").write_bytes((root / "good.h5").read_bytes())
    (root / "zip.h5").write_bytes((root / "good.keras").read_bytes())
    return root


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("saved_model", r"is a SavedModel, .* model\.save\('model\.h5'\)"),
        ("unpacked.keras", "is a .keras file that was unpacked. Pack its files again"),
        ("only.weights.h5", r"holds weights only.* model\.load_weights\('only\.weights\.h5'\)"),
        ("old.h5", "holds weights only"),
        ("cut-good.keras", r"was cut off or damaged \(3,000 bytes\)"),
        ("cut-good.h5", "was cut off after 3,000 bytes"),
        ("lfs.keras", "is a pointer of Git LFS.* git lfs pull"),
        ("page.keras", "is a web page"),
        ("config.keras", r"is the configuration of a model \(JSON\) without its weights"),
        ("empty.h5", "is empty"),
        ("pickle.h5", "is a pickle"),
        ("torch.h5", "is a file of PyTorch"),
        ("lite.keras", "is a model of TensorFlow Lite"),
        ("text.keras", "is neither a zip archive nor HDF5"),
    ],
)
def test_it_is_called_what_it_is(name: str, what: str, world: Path) -> None:
    with pytest.raises(ModelFileError, match=what) as error:
        saved_model.read(world / name)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("only.weights.h5", "holds weights only"),
        ("cut-good.h5", "was cut off after 3,000 bytes"),
        ("good.h5", "has no class names: it lacks headfit.json"),
    ],
)
def test_hdf5_in_place_of_a_classifier_is_called_what_it_is(
    name: str, what: str, world: Path
) -> None:
    with pytest.raises(ModelFileError, match=what):
        ModelRecord.read(world / name)


@pytest.mark.parametrize(
    "command",
    ["inspect {}", "predict {} x.jpg", "compare x --backbone {}", "convert {} --to flatten"],
)
@pytest.mark.parametrize(("name", "what"), [("saved_model", "SavedModel"), ("lfs.keras", "LFS")])
def test_every_command_says_so(
    command: str, name: str, what: str, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.format(world / name) for word in command.split()]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert what in line


def test_nothing_and_a_folder_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        saved_model.read(tmp_path)
    with pytest.raises(UsageError, match="There is no file"):
        saved_model.read(tmp_path / "absent.keras")


@pytest.mark.parametrize("name", ["hdf5.keras", "zip.h5"])
def test_a_model_under_the_other_suffix_loads(name: str, world: Path) -> None:
    images = np.ones((1, 8, 8, 3), "float32")
    expected = keras.saving.load_model(world / "good.keras").predict(images, verbose=0)
    found = saved_model.load(world / name).predict(images, verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def _edit(world: Path, target: Path, old: str, new: str) -> Path:
    target.write_bytes((world / "good.h5").read_bytes())
    with h5py.File(target, "r+") as file:
        config = file.attrs["model_config"]
        assert old in config
        file.attrs["model_config"] = config.replace(old, new)
    return target


def test_arguments_of_old_tensorflow_are_left_out(world: Path, tmp_path: Path) -> None:
    path = _edit(
        world, tmp_path / "old.h5", '"depth_multiplier"', '"groups": 1, "depth_multiplier"'
    )
    before = path.read_bytes()
    with pytest.raises(Exception, match="groups"):
        keras.saving.load_model(path)
    assert saved_model.load(path).layers[2].name.startswith("depthwise")
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["TFOpLambda", "TrueDivide"])
def test_operations_in_hdf5_get_a_hint(name: str, world: Path, tmp_path: Path) -> None:
    path = _edit(world, tmp_path / "op.h5", '"class_name": "Conv2D"', f'"class_name": "{name}"')
    with h5py.File(path, "r+") as file:  # as tf.keras writes it, which names no module
        config = file.attrs["model_config"].replace('"module": "keras.layers", ', "")
        file.attrs["model_config"] = config
    with pytest.raises(ModelFileError, match=rf"'{name}', an operation on tensors.*Rescaling"):
        saved_model.read(path)


@pytest.mark.parametrize("command", ["predict", "inspect", "convert"])
def test_a_pipe_or_a_device_is_never_opened(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe.keras")
    (tmp_path / "device.keras").symlink_to("/dev/zero")
    for name in ("pipe.keras", "device.keras"):
        more = {"predict": ["x.jpg"], "convert": ["--to", "gap"]}.get(command, [])
        assert main([command, str(tmp_path / name), *more]) in (1, 2)
        err = capsys.readouterr().err
        assert "is a pipe or a device, not a file" in err and err.count("\n") == 1
