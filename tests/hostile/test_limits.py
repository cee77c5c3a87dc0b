"""A model file cannot take more memory or time than its weights explain."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import pytest

import jobs_child as jobs
from contained import GB, headfit
from headfit.errors import ModelFileError, UsageError
from headfit.util import child, limits, saved_model

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory")


def model(path: Path, *layers: keras.Layer, **change: Any) -> Path:
    """Save a small model; ``change`` goes into the configuration of its dense layer."""
    network = [keras.Input((8, 8, 3)), *layers, keras.layers.Flatten()]
    keras.Sequential([*network, keras.layers.Dense(2, name="top")]).save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    config["config"]["layers"][-1]["config"] |= change
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@linux
def test_weights_that_are_not_in_the_file_are_never_made(tmp_path: Path) -> None:
    path = model(tmp_path / "model.keras", units=10**9)
    outcome = headfit("inspect", path)
    assert "of weights: the file may be damaged or hostile" in outcome.refused("model.keras")
    assert "HEADFIT_MODEL_MEMORY" in outcome.err
    assert outcome.peak < GB
    assert outcome.err.count("\n") == 1


@linux
def test_the_limit_ends_with_the_load(tmp_path: Path) -> None:
    import resource  # noqa: PLC0415

    before = resource.getrlimit(resource.RLIMIT_DATA)
    with pytest.raises(ModelFileError, match="it may take if you trust it"):
        saved_model.load(model(tmp_path / "model.keras", units=10**9))
    saved_model.load(model(tmp_path / "model.keras"))
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


@pytest.mark.parametrize(
    "layer",
    [keras.layers.Resizing(50_000, 50_000), keras.layers.UpSampling2D(10_000)],
    ids=["resizing", "upsampling"],
)
def test_a_layer_that_makes_gigabytes_of_an_image_is_refused(
    layer: keras.Layer, tmp_path: Path
) -> None:
    average = keras.layers.GlobalAveragePooling2D()
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((8, 8, 3)), layer, average]).save(path)
    with pytest.raises(ModelFileError, match=f"'{layer.name}' makes [0-9,]+ numbers of one image"):
        saved_model.load(path)


@linux
def test_a_child_that_wants_too_much_memory_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(limits.MEMORY, "1")
    with pytest.raises(ModelFileError, match="ran out of memory: it may take 1 GB") as error:
        child.call(jobs.FunctionCall("numpy:zeros", {"shape": 10**10}), backend="numpy")
    assert "set HEADFIT_MODEL_MEMORY to more" in str(error.value)


def test_a_child_that_opens_a_file_has_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "mark"
    mark.touch()
    monkeypatch.setenv(limits.SECONDS, "1")
    with pytest.raises(ModelFileError, match=r"did not end within 1 s: .*HEADFIT_MODEL_SECONDS"):
        child.call(jobs.SleepOpening(str(mark)), backend="numpy", fallback="jax")
    assert jobs.Sleep(str(mark)).seconds is None
    assert jobs.SleepOpening(str(tmp_path / "none")).seconds is None


@pytest.mark.parametrize("text", ["0", "-1", "much"])
def test_a_limit_that_is_none_is_said(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(limits.SECONDS, text)
    with pytest.raises(UsageError, match="must be a number above 0"):
        limits.seconds()
