"""Models of several labels and of numbers, as files: what they predict, and what they refuse."""

from __future__ import annotations

import csv
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import classifiers
import headfit as hf
import headfit.layers
from headfit.errors import EngineError, ModelFileError, UsageError
from headfit.images.targets import CLASS, LABELS, NUMBER
from headfit.model.metadata import ModelRecord
from headfit.model.prediction import scale_labels
from headfit.model.runner import check_outputs
from headfit.util.model_parts import RECORD

IMAGES, CORNERS = classifiers.corner_images(2, seed=5)
LABELS_OF = {0: (), 1: ("right",), 2: ("top",), 3: ("right", "top")}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("kinds")
    return {
        kind: classifiers.corner_predictor("flatten", root / f"{kind}.keras", kind)
        for kind in (LABELS, NUMBER)
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Images of all corners, and a file that is none."""
    root = tmp_path_factory.mktemp("files")
    paths = [root / f"{number}.png" for number in range(len(IMAGES))]
    for path, pixels in zip(paths, IMAGES, strict=True):
        Image.fromarray(pixels).save(path)
    (root / "none.png").write_bytes(b"")
    return [*paths, root / "none.png"]


@pytest.mark.parametrize("chain", ["flatten", "low_rank"])
@pytest.mark.parametrize("kind", [LABELS, NUMBER])
def test_plain_keras_gives_probabilities_of_labels_and_numbers_in_their_units(
    chain: str, kind: str, tmp_path: Path
) -> None:
    path = classifiers.random_classifier(chain, tmp_path / "model.keras", kind=kind)
    plain = keras.models.load_model(path, safe_mode=True)
    raw = np.asarray(plain.predict(IMAGES.astype(np.float32), verbose=0))
    np.testing.assert_allclose(hf.Classifier(path).outputs(IMAGES), raw, rtol=1e-4, atol=1e-4)
    within = (raw >= 0).all() and (raw <= 1).all()
    assert within == (kind == LABELS)
    assert not np.allclose(raw.sum(axis=1), 1)


def test_labels_are_those_at_their_thresholds(models: dict[str, Path]) -> None:
    classifier = hf.Classifier(models[LABELS])
    p = classifier.predict_proba(IMAGES)
    assert [set(each) for each in classifier.predict(IMAGES)] == [
        set(LABELS_OF[corner]) for corner in CORNERS.tolist()
    ]
    assert all(type(each) is tuple for each in classifier.predict(IMAGES))
    calibrated = classifier.predict_proba(IMAGES, calibrated=True)
    logits = np.log(p / (1 - p)) / np.array([2.0, 0.5])
    np.testing.assert_allclose(calibrated, 1 / (1 + np.exp(-logits)), atol=1e-9)


def test_certain_labels_stay_certain() -> None:
    scaled = scale_labels(np.array([0.0, 1.0, 0.5]), np.full(3, 2.0))
    assert scaled.tolist() == [0.0, 1.0, 0.5]


def test_numbers_come_with_intervals_of_the_widths_in_the_file(models: dict[str, Path]) -> None:
    classifier = hf.Classifier(models[NUMBER])
    values = classifier.predict(IMAGES)
    truth = classifiers.corner_values(CORNERS, NUMBER)
    assert values.dtype == np.float64
    assert np.abs(values - truth).max() < 4
    low, high = classifier.predict_interval(IMAGES)
    np.testing.assert_allclose(high - low, np.tile([8.0, 1.0], (len(IMAGES), 1)))
    assert ((low < values) & (values < high)).all()


def test_a_question_without_an_answer_is_refused_with_another(models: dict[str, Path]) -> None:
    numbers, labels = (hf.Classifier(models[kind]) for kind in (NUMBER, LABELS))
    with pytest.raises(UsageError, match=r"numbers \(x, y\): numbers have no probabilities\. Use"):
        numbers.predict_proba(IMAGES)
    with pytest.raises(
        UsageError, match=r"labels have no sets of classes\. Use predict or predict_"
    ):
        labels.predict_set(IMAGES)
    with pytest.raises(UsageError, match="labels have no intervals"):
        labels.predict_interval(IMAGES)


def test_one_number_is_enough_and_one_class_is_not(tmp_path: Path) -> None:
    path = tmp_path / "one.keras"
    classifiers.write(classifiers.build("gap", 1, kind=NUMBER), "gap", path, ("age",), kind=NUMBER)
    assert hf.Classifier(path).predict(IMAGES).shape == (len(IMAGES), 1)
    other = _changed(path, tmp_path / "class.keras", kind=CLASS)
    with pytest.raises(ModelFileError, match="it has 1 class"):
        ModelRecord.read(other)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"kind": "colour"}, "its kind is 'colour'"), ({"kind": LABELS}, "not that of kind 'labels'")],
)
def test_a_kind_that_does_not_fit_is_refused(
    change: dict[str, str], reason: str, models: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(ModelFileError, match=reason):
        ModelRecord.read(_changed(models[NUMBER], tmp_path / "other.keras", **change))


def test_numbers_are_proved_in_units_of_their_spread(models: dict[str, Path]) -> None:
    record = ModelRecord.read(models[NUMBER])
    probe = np.array(record.probe)
    check_outputs(probe + np.array([3e-3, 4e-4]), probe, record.spread)
    with pytest.raises(EngineError, match=r"differ by 0\.05"):
        check_outputs(probe + np.array([0.0, 0.05]), probe, record.spread)
    large = replace(record, probe=((5e8,), (5e8,)), classes=("price",), reliability=None)
    check_outputs(np.array(large.probe) + 32.0, np.array(large.probe), large.spread)  # rounding


@pytest.mark.parametrize("kind", [LABELS, NUMBER])
def test_predictions_are_written_as_rows_by_kind(
    kind: str, models: dict[str, Path], files: list[Path], tmp_path: Path
) -> None:
    classifier = hf.Classifier(models[kind])
    outputs = classifier.outputs(files[:-1])
    table, lines, columns = (tmp_path / f"p.{end}" for end in ("csv", "jsonl", "parquet"))
    for path in (table, lines, columns):
        written = classifier.write_predictions(files, path)
        assert (written.images, written.unreadable) == (len(files), 1)
        assert written.classes == ({"top": 4, "right": 4} if kind == LABELS else {})
    rows = list(csv.DictReader(table.read_text("utf-8").splitlines()))
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    read = pq.read_table(columns).to_pylist()
    assert [list(each) for each in read] == [list(each) for each in rows]
    assert records[-1]["error"] == rows[-1]["error"] == read[-1]["error"] != ""
    for row, record, cells, given, corner in zip(
        rows[:-1], records[:-1], read[:-1], outputs, CORNERS, strict=True
    ):
        if kind == LABELS:
            assert {*row["labels"].split(";")} - {""} == {*LABELS_OF[int(corner)]}
            assert cells["labels"] == record["present"]
            found = {each["label"]: each["probability"] for each in record["labels"]}
            assert [found[name] for name in ("top", "right")] == pytest.approx(given)
            assert float(row["p_top"]) == pytest.approx(given[0], abs=1e-6)
        else:
            expected = {"value": given[1], "low": given[1] - 0.5, "high": given[1] + 0.5}
            assert record["numbers"]["y"] == pytest.approx(expected)
            for name, value in expected.items():
                assert float(row[f"{name}_y"]) == pytest.approx(value, rel=1e-6)
                assert cells[f"{name}_y"] == pytest.approx(value)


def _changed(path: Path, target: Path, **entries: str) -> Path:
    """Write the same file with other entries in its record."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == RECORD:
                content = json.dumps({**json.loads(content), **entries}).encode()
            new.writestr(name, content)
    return target
