"""``headfit.layers``: what it exports, what its import registers, and on which backend."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from PIL import Image

from headfit import layers
from headfit.heads.chain import parse_head
from headfit.heads.pooling import pooling_names

DOCUMENT = Path(__file__).parents[2] / "docs" / "predict.md"


def run(code: str, folder: Path, **settings: str) -> str:
    """What Python prints in a fresh process, in which no Keras backend is configured."""
    spared = ("KERAS_BACKEND", "KERAS_HOME", "TF_CPP_MIN_LOG_LEVEL")
    environment = {name: value for name, value in os.environ.items() if name not in spared}
    environment |= {"HOME": str(folder), "USERPROFILE": str(folder), **settings}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_exported_names_are_sorted_and_complete():
    classes = {name for name, each in vars(layers).items() if isinstance(each, type)}
    assert set(layers.__all__) == classes
    assert layers.__all__ == sorted(layers.__all__, key=lambda name: (not name.isupper(), name))
    for name in layers.__all__:
        layer = getattr(layers, name)
        assert layer.__doc__ and layer.__name__ == name
        assert keras.saving.get_registered_object(f"headfit>{name}") is layer


def test_every_layer_of_a_head_is_keras_or_exported():
    for name in pooling_names():
        x = keras.Input((4, 4, 8))
        for layer in keras.Model(x, parse_head(name).build(x, 3)).layers:
            kind = type(layer)
            assert kind.__module__.startswith("keras.") or getattr(layers, kind.__name__) is kind


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an image, and a model with a head that needs a layer of headfit's."""
    folder = tmp_path_factory.mktemp("saved")
    Image.new("RGB", (9, 9), "red").save(folder / "new.jpg")
    (folder / "headfit-run").mkdir()
    x = keras.Input((4, 4, 3))
    keras.Model(x, parse_head("gem").build(x, 2)).save(folder / "headfit-run" / "model.keras")
    return folder


def test_the_documented_way_to_open_a_model_works_as_printed(saved: Path):
    _, _, section = DOCUMENT.read_text("utf-8").partition("## With plain Keras")
    snippet = section.partition("```python\n")[2].partition("```")[0]
    # Keras writes its default, TensorFlow, into keras.json in the first run: not a choice either
    absent = "from headfit.util import hidden\nhidden.hide('tensorflow')\n"
    for _ in range(2):
        printed = run(f"{absent}{snippet}print(keras.backend.backend())", saved).splitlines()
        assert printed[-1] == "jax"
        assert printed[-2].startswith("[[") and printed[-2].endswith("]]")


def test_a_configured_backend_is_respected(tmp_path: Path):
    code = "import os, headfit.util.child as c; c.select_backend(); "
    code += "print(os.environ.get('KERAS_BACKEND'))"
    assert run(code, tmp_path, KERAS_BACKEND="torch") == "torch"
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text('{"backend": "torch"}')
    assert run(code, tmp_path) == "None"


def test_headfit_itself_stays_light(tmp_path: Path):
    code = "import sys, headfit; print(sorted({'keras', 'headfit.layers'} & sys.modules.keys()))"
    assert run(code, tmp_path) == "[]"
