"""Conversion of models for several labels and for numbers."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import classifiers
import headfit as hf
from headfit.images.targets import LABELS, NUMBER

IMAGES, CORNERS = classifiers.corner_images(2, seed=5)


@pytest.mark.parametrize("kind", [LABELS, NUMBER])
def test_gap_becomes_a_flatten_that_gives_the_same(kind: str, tmp_path: Path) -> None:
    path = classifiers.corner_predictor("gap", tmp_path / "model.keras", kind)
    conversion = hf.convert(path, "flatten", out=tmp_path / "flat.keras")
    assert conversion.exact
    old, new = hf.Classifier(path), hf.Classifier(tmp_path / "flat.keras")
    assert new.kind == kind and new.record.head == "flatten"
    np.testing.assert_allclose(new.outputs(IMAGES), old.outputs(IMAGES), rtol=1e-4, atol=1e-5)
    assert type(new.record.reliability) is type(old.record.reliability)
    assert new.explain(IMAGES, new.classes[1]).shape == (len(IMAGES), 8, 8)


@pytest.mark.parametrize("kind", [LABELS, NUMBER])
def test_a_low_rank_opens_in_keras_and_is_explained(kind: str, tmp_path: Path) -> None:
    path = classifiers.corner_predictor("flatten", tmp_path / "model.keras", kind)
    conversion = hf.convert(path, "low_rank", rank=2, out=tmp_path / "low.keras")
    assert not conversion.exact
    assert any("belong to the old head" in remark for remark in conversion.remarks)
    new = hf.Classifier(tmp_path / "low.keras")
    outputs = new.outputs(IMAGES)
    plain = keras.models.load_model(tmp_path / "low.keras")
    given = plain.predict(IMAGES.astype(np.float32), verbose=0)
    np.testing.assert_allclose(outputs, given, rtol=1e-4, atol=1e-4)
    for one in new.explainer.explain(IMAGES[:1], 0):
        assert abs(one.completeness_error) < 1e-3
    assert new.record.reliability is None and new.predict(IMAGES).shape[0] == len(IMAGES)


def table(folder: Path, count: int) -> Path:
    """Corner images, and a table with their labels and numbers."""
    images, corners = classifiers.corner_images(count, seed=9)
    labels, numbers = (classifiers.corner_values(corners, kind) for kind in (LABELS, NUMBER))
    lines = ["path,label,y,x"]
    for place, pixels in enumerate(images):
        Image.fromarray(pixels).save(folder / f"{place}.png")
        tags = ";".join(n for n, has in zip(("top", "right"), labels[place], strict=True) if has)
        x, y = numbers[place]
        lines.append(f"{place}.png,{tags},{y},{x}")
    (folder / "all.csv").write_text("\n".join(lines), "utf-8")
    return folder / "all.csv"


@pytest.mark.parametrize("kind", [LABELS, NUMBER])
def test_a_refitted_top_is_scored_and_knows_its_reliability(kind: str, tmp_path: Path) -> None:
    path = classifiers.corner_predictor("flatten", tmp_path / "model.keras", kind)
    source, out = table(tmp_path, 12), tmp_path / "new.keras"
    conversion = hf.convert(path, "low_rank", rank=2, data=source, refit=True, out=out)
    assert conversion.data is not None
    metric = {LABELS: "macro_average_precision", NUMBER: "r2"}[kind]
    before, refitted = conversion.data["before"][metric], conversion.data["refitted"][metric]
    assert before > 0.8 and refitted > 0.8
    new, old = hf.Classifier(out), hf.Classifier(path)
    assert new.record.reliability is not None
    assert type(new.record.reliability) is type(old.record.reliability)
    if kind == NUMBER:
        low, high = new.predict_interval(IMAGES)
        assert (low < high).all()
        truth = classifiers.corner_values(CORNERS, NUMBER)
        assert np.abs(new.predict(IMAGES) - truth).max() < 8


def test_images_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = classifiers.corner_predictor("gap", tmp_path / "model.keras", LABELS)
    source = table(tmp_path, 3)
    with pytest.raises(hf.DataError, match=r"holds numbers, and the model predicts labels"):
        hf.convert(path, "flatten", data=source, target=NUMBER, label_column=["x", "y"])
