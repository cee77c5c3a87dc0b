"""Model files from others are hostile until read."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headfit as hf
from headfit.backbones.catalog import find
from headfit.model.metadata import ModelRecord
from headfit.study.reliability.model_reliability import ModelReliability
from headfit.study.reliability.outliers import fit_detector
from headfit.util.model_parts import ARRAYS, LIMITS
from headfit.util.model_parts import RECORD as NAME

RECORD = ModelRecord(
    ("cat", "<script>"), find("MobileNet").contract(64), "gap", "MobileNet", ((0.5, 0.5),), "0.1.0"
)
FEATURES = np.random.default_rng(0).random((60, 20), np.float32)
FOLDS = np.arange(60) % 5
RELIABILITY = ModelReliability(1.5, 0.9, 0.8, fit_detector(FEATURES, FOLDS % 2, FOLDS))


def _file(path: Path, text: str, arrays: bytes | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(NAME, text)
        if arrays is not None:
            archive.writestr(ARRAYS, arrays)
    return path


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], bytes]:
    """What a good file holds."""
    path = tmp_path_factory.mktemp("good") / "model.keras"
    zipfile.ZipFile(path, "w").close()
    replace(RECORD, reliability=RELIABILITY).append_to(path)
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(NAME)), archive.read(ARRAYS)


def test_a_record_survives_the_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    zipfile.ZipFile(path, "w").close()
    RECORD.append_to(path)
    assert ModelRecord.read(path) == RECORD


def test_thresholds_take_little_room(members: tuple[dict[str, Any], bytes]) -> None:
    data, arrays = members
    assert len(arrays) < 10_000
    assert data["reliability"]["temperature"] == 1.5


def test_a_file_from_before_there_were_thresholds_can_be_read(
    members: tuple[dict[str, Any], bytes], tmp_path: Path
) -> None:
    data = {key: value for key, value in members[0].items() if key not in ("reliability", "arrays")}
    assert ModelRecord.read(_file(tmp_path / "old.keras", json.dumps(data))) == RECORD


def test_thresholds_that_were_read_score_as_those_written(
    members: tuple[dict[str, Any], bytes], tmp_path: Path
) -> None:
    data, arrays = members
    found = ModelRecord.read(_file(tmp_path / "m.keras", json.dumps(data), arrays)).reliability
    assert found is not None
    assert (found.temperature, found.level, found.quantile) == (1.5, 0.9, 0.8)
    np.testing.assert_array_equal(
        found.detector.scores(FEATURES), RELIABILITY.detector.scores(FEATURES)
    )


@pytest.mark.parametrize(
    ("change", "arrays", "word"),
    [
        ({}, None, "headfit.f32"),
        ({}, b"", "0 bytes"),
        ({}, lambda good: good[:-1], "bytes"),
        ({}, lambda good: good + b"0000", "bytes"),
        ({}, lambda good: b"\xff" * len(good), "not finite"),
        ({"arrays": {"outlier_mean": [10**12, 10**12]}}, None, "bytes"),
        ({"arrays": {"outlier_mean": [-1, -20]}}, None, "shape"),
        ({"arrays": {"outlier_mean": [1.5]}}, None, "shape"),
        ({"arrays": {"outlier_mean": 5}}, None, "not iterable"),
        ({"arrays": [1]}, None, "items"),
        ({"arrays": {}}, b"", "outlier_mean"),
        ({"reliability": {}}, lambda good: good, "temperature"),
        ({"reliability": []}, lambda good: good, "no object"),
        ({"reliability": {"temperature": 10**400}}, lambda good: good, "too large"),
    ],
)
def test_damaged_thresholds_are_a_clear_error(
    change: dict[str, Any],
    arrays: Any,
    word: str,
    members: tuple[dict[str, Any], bytes],
    tmp_path: Path,
) -> None:
    data, good = members
    given = arrays(good) if callable(arrays) else arrays
    path = _file(tmp_path / "bad.keras", json.dumps({**data, **change}), given)
    with pytest.raises(hf.ModelFileError, match=word):
        ModelRecord.read(path)


def test_arrays_that_would_fill_the_memory_are_not_read(
    members: tuple[dict[str, Any], bytes], tmp_path: Path
) -> None:
    data = {**members[0], "arrays": {"outlier_mean": [LIMITS[ARRAYS] // 4 + 1]}}
    path = _file(tmp_path / "bomb.keras", json.dumps(data), bytes(LIMITS[ARRAYS] + 4))
    assert path.stat().st_size < 100_000
    with pytest.raises(hf.ModelFileError, match="64 MB, more than the 64 MB limit"):
        ModelRecord.read(path)


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
        data = json.loads(archive.read(NAME)) | change
    with pytest.raises(hf.ModelFileError, match=word):
        ModelRecord.read(_file(tmp_path / "bad.keras", json.dumps(data)))


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "null", '{"schema": "headfit.model/1"}', "[" * 100_000]
)
def test_garbage_is_a_clear_error(text: str, tmp_path: Path) -> None:
    with pytest.raises(hf.ModelFileError, match=r"bad\.keras"):
        ModelRecord.read(_file(tmp_path / "bad.keras", text))


def test_a_record_that_would_fill_the_memory_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(NAME, " " * 40_000_000)
    assert path.stat().st_size < 100_000
    with pytest.raises(
        hf.ModelFileError,
        match="is 40 MB, more than the 16 MB limit",
    ):
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
