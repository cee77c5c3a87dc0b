"""Files that would do harm are refused before Keras builds anything of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import h5py
import keras
import numpy as np
import pytest

from headfit.errors import ModelFileError
from headfit.util import saved_model
from headfit.util.model_parts import shapes_of

Entry = dict[str, Any]


def small() -> keras.Model:
    image = keras.Input((4, 4, 3))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    return keras.Model(image, keras.layers.Dense(2, activation="softmax", name="top")(x))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "model.keras"
    model = small()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.save(path)
    model.save(path.with_suffix(".h5"))
    return path


def changed(sound: Path, target: Path, change: Callable[[Entry], None]) -> Path:
    """Write the sound model with another configuration of its dense layer."""

    def rewritten(text: str) -> str:
        config = json.loads(text)
        layers = config["config"]["layers"]
        change(next(each for each in layers if each["config"]["name"] == "top"))
        return json.dumps(config)

    if target.suffix == ".h5":
        shutil.copyfile(sound.with_suffix(".h5"), target)
        with h5py.File(target, "r+") as file:
            file.attrs["model_config"] = rewritten(file.attrs["model_config"])
        return target
    with zipfile.ZipFile(sound) as source, zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            data = source.read(name)
            if name == "config.json":
                data = rewritten(data.decode()).encode()
            archive.writestr(name, data)
    return target


def function(module: str, name: str) -> Callable[[Entry], None]:
    given = {"module": module, "class_name": "function", "config": name, "registered_name": name}
    return lambda layer: layer["config"].update(activation=given)


def instance(module: str | None, name: str, **config: Any) -> Callable[[Entry], None]:
    given = {"module": module, "class_name": name, "config": config, "registered_name": name}
    return lambda layer: layer["config"].update(kernel_initializer=given)


def text(key: str, value: str) -> Callable[[Entry], None]:
    return lambda layer: layer["config"].update({key: value})


HOSTILE = {
    "os.system": (function("os", "system"), "'system' of 'os'"),
    "get_file": (function("keras.utils", "get_file"), "'get_file' of 'keras.utils'"),
    "load_model": (function("keras.saving", "load_model"), "'load_model' of 'keras.saving'"),
    "dotted": (function("keras.ops", "numpy.np.load"), "'numpy.np.load' of 'keras.ops'"),
    "Popen": (instance("subprocess", "Popen", args="true"), "'Popen' of 'subprocess'"),
    "weights": (instance("keras.applications", "VGG16"), "'VGG16' of 'keras.applications'"),
    "Lambda": (instance("keras.layers", "Lambda", function="x"), "a Lambda layer, which is code"),
    "source": (
        instance("keras.src.layers.core.lambda_layer", "Lambda", function="x"),
        "a Lambda layer, which is code",
    ),
    "alias": (instance(None, "keras>Lambda", function="x"), "a Lambda layer, which is code"),
    "lambda": (instance("builtins", "__lambda__", value="x"), "a Lambda layer, which is code"),
    "SavedModel": (
        instance("keras.layers", "TFSMLayer", filepath="x"),
        "a TFSMLayer, which is code",
    ),
    "legacy": (
        lambda layer: layer["config"].update(function_type="lambda", function=["4wEAAA==", None]),
        "a Lambda layer, which is code",
    ),
    "url": (text("name", "https://example.org/weights.h5"), "name='https://example.org/weights"),
    "file": (text("vocabulary", "words.txt"), "vocabulary='words.txt'"),
    "absolute": (text("anything", "/etc/passwd"), "anything='/etc/passwd'"),
    "traversal": (text("anything", "assets/../../secret"), "anything='assets/../../secret'"),
    "windows": (text("anything", "C:\\secret"), "anything='C:"),
}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_configuration_is_refused(
    name: str, suffix: str, sound: Path, tmp_path: Path
) -> None:
    change, words = HOSTILE[name]
    path = changed(sound, tmp_path / f"model{suffix}", change)
    with pytest.raises(ModelFileError, match=re.escape(words)) as error:
        saved_model.read(path)
    assert str(path) in str(error.value)
    with pytest.raises(ModelFileError):
        saved_model.load(path)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_sound_model_passes_and_tells_how_it_was_compiled(suffix: str, sound: Path) -> None:
    saved = saved_model.read(sound.with_suffix(suffix))
    assert saved.optimizer.lower() == "adam"
    assert saved_model.load(sound.with_suffix(suffix)).count_params() == 4 * 4 * 3 * 2 + 2


def test_a_class_that_this_process_registered_passes(tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable("tests")
    class Doubled(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return 2 * x

    keras.Sequential([keras.Input((4,)), Doubled()]).save(tmp_path / "model.keras")
    assert saved_model.load(tmp_path / "model.keras").layers[-1].__class__ is Doubled


def archive(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            file.writestr(name, data)
    return path


def link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("assets/words")
    info.external_attr = 0o120777 << 16
    return info


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([("../../evil.py", b"")], "leads out of the archive"),
        ([("/etc/evil", b"")], "leads out of the archive"),
        ([("assets\\..\\..\\evil", b"")], "leads out of the archive"),
        ([("config.json", b"{}"), ("config.json", b"{}")], "appears twice"),
        ([("config.json", b" " * 17_000_000)], "is 17 MB, more than the 16 MB limit"),
        ([("model.weights.h5", bytes(20_000_000))], "20 MB in memory"),
        ([(link(), b"/etc/passwd")], "a link or encrypted"),
        ([(str(number), b"") for number in range(10_001)], "10,001 members"),
        ([("config.json", b"[" * 100_000), ("model.weights.h5", b"")], "cannot be read"),
        ([("config.json", b"{}")], "without model.weights.h5"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_hostile_archive_is_refused(members: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=re.escape(words)):
        saved_model.read(archive(tmp_path / "model.keras", *members))


def _external_link(file: h5py.File) -> None:
    file["elsewhere"] = h5py.ExternalLink("secret.h5", "/")


def _soft_link(file: h5py.File) -> None:
    file["elsewhere"] = h5py.SoftLink("/")


def _external_data(file: h5py.File) -> None:
    file.create_dataset("weights", (4,), "u1", external=[("secret.txt", 0, 4)])


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("secret.h5", "weights", (4,))
    file.create_virtual_dataset("weights", layout)


def _expanding(file: h5py.File) -> None:
    file.create_dataset("weights", (10**5, 10**5), "f4", chunks=(1000, 1000), compression="gzip")


@pytest.mark.parametrize("inside", [False, True], ids=[".h5", ".keras"])
@pytest.mark.parametrize(
    ("write", "words"),
    [
        (_external_link, "/elsewhere .* is a link"),
        (_soft_link, "/elsewhere .* is a link"),
        (_external_data, "/weights .* lies in another file"),
        (_virtual, "/weights .* lies in another file"),
        (_expanding, "/weights .* takes 40,000 MB in memory"),
    ],
)
def test_weights_that_lead_elsewhere_or_expand_are_refused(
    write: Callable[[h5py.File], None],
    words: str,
    inside: bool,
    sound: Path,
    tmp_path: Path,
) -> None:
    path = tmp_path / "model.h5"
    shutil.copyfile(sound.with_suffix(".h5"), path)
    with h5py.File(path, "r+") as file:
        write(file)
    if inside:
        data, path = path.read_bytes(), tmp_path / "model.keras"
        archive(path, ("config.json", b"{}"), ("model.weights.h5", data))
    with pytest.raises(ModelFileError, match=words):
        saved_model.read(path)


def test_groups_that_contain_themselves_end(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    shutil.copyfile(sound.with_suffix(".h5"), path)
    with h5py.File(path, "r+") as file:
        file["model_weights"]["again"] = file["model_weights"]
    assert saved_model.read(path).config["class_name"] == "Functional"


def test_zeros_that_were_compressed_are_no_bomb(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.create_dataset("w", data=np.zeros(10**6, np.float32), compression="gzip")
        assert shapes_of(file, tmp_path) == {"/w": (10**6,)}
