"""Conversion of models for several labels and for numbers."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import classifiers
import headfit as hf
from headfit.images.targets import LABELS, NUMBER

IMAGES, _ = classifiers.corner_images(2, seed=5)


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


def test_measuring_on_images_is_refused_before_any_work(tmp_path: Path) -> None:
    path = classifiers.corner_predictor("gap", tmp_path / "model.keras", NUMBER)
    with pytest.raises(hf.UsageError, match=r"predicts numbers, .* Leave `data` out"):
        hf.convert(path, "flatten", data=tmp_path)
