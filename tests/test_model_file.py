"""Model files from others are hostile until read."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

import headfit as hf
from headfit.backbones.catalog import find
from headfit.model_file import MEMBER, ModelRecord

RECORD = ModelRecord(
    ("cat", "<script>"), find("MobileNet").contract(64), "gap", "MobileNet", ((0.5, 0.5),), "0.1.0"
)


def _file(path: Path, text: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MEMBER, text)
    return path


def test_a_record_survives_the_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    zipfile.ZipFile(path, "w").close()
    RECORD.append_to(path)
    assert ModelRecord.read(path) == RECORD


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"schema": "headfit.model/9"}, "headfit.model/9"),
        ({"classes": ["only"]}, "do not match"),
        ({"probe": [[0.1, 0.2, 0.7]]}, "do not match"),
        ({"contract": {"height": 10**9}}, "preprocessing record"),
    ],
)
def test_a_damaged_record_says_what_is_wrong(
    change: dict[str, object], word: str, tmp_path: Path
) -> None:
    zipfile.ZipFile(tmp_path / "good.keras", "w").close()
    RECORD.append_to(tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as archive:
        data = json.loads(archive.read(MEMBER)) | change
    with pytest.raises(hf.ModelFileError, match=word):
        ModelRecord.read(_file(tmp_path / "bad.keras", json.dumps(data)))


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"schema": "headfit.model/1"}'])
def test_garbage_is_a_clear_error(text: str, tmp_path: Path) -> None:
    with pytest.raises(hf.ModelFileError, match=r"bad\.keras"):
        ModelRecord.read(_file(tmp_path / "bad.keras", text))


def test_a_record_that_would_fill_the_memory_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MEMBER, " " * 40_000_000)
    assert path.stat().st_size < 100_000
    with pytest.raises(hf.ModelFileError, match="too large"):
        ModelRecord.read(path)


@pytest.mark.slow
def test_code_hidden_in_a_model_is_not_run(tmp_path: Path) -> None:
    import keras  # noqa: PLC0415

    inputs = keras.Input((64, 64, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    hidden = keras.layers.Lambda(lambda x: x * 2)(pooled)
    outputs = keras.layers.Dense(2, activation="softmax")(hidden)
    path = tmp_path / "evil.keras"
    keras.Model(inputs, outputs).save(path)
    RECORD.append_to(path)
    with pytest.raises(hf.HeadfitError, match=r"[Ll]ambda"):
        hf.Classifier.load(path).predict([Path(__file__)])
