"""What a trained classifier says of images, with thresholds and without."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import headfit as hf
from headfit.model.runner import WITH_MEANS, keras_network
from headfit.study.reliability.calibration import scale
from headfit.study.reliability.outliers import fit_detector
from headfit.util.model_parts import ARRAYS
from headfit.util.model_parts import RECORD as NAME
from plain_keras import run_plain
from trained_model import SIZE, Trained

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(trained: Trained) -> Path:
    return trained.root


@pytest.fixture(scope="module")
def reliability(trained: Trained) -> dict[str, Any]:
    return trained.reliability


@pytest.fixture(scope="module")
def classifier(trained: Trained) -> hf.Classifier:
    return hf.Classifier.load(trained.model)


@pytest.fixture(scope="module")
def fresh(trained: Trained) -> list[Path]:
    return trained.fresh


def pixels(paths: Iterable[Path]) -> np.ndarray:
    images = [Image.open(path).resize((SIZE, SIZE), Image.Resampling.BILINEAR) for path in paths]
    return np.stack([np.asarray(image) for image in images])


def test_strangers_are_outliers_and_images_of_the_same_kind_mostly_not(
    classifier: hf.Classifier, trained: Trained
) -> None:
    fresh = trained.fresh
    assert (classifier.outlier_scores(trained.strangers) > 1).all()
    scores = classifier.outlier_scores(fresh)
    assert scores.dtype == np.float64
    assert (scores > 1).mean() < 0.2  # 5 % are expected; 8 of 80 and more are rare


def test_sets_hold_the_class_as_often_as_was_measured(
    classifier: hf.Classifier, reliability: dict[str, Any], fresh: list[Path]
) -> None:
    sets = classifier.predict_set(fresh)
    covered = np.mean([path.parent.name in names for path, names in zip(fresh, sets, strict=True)])
    assert covered > reliability["conformal"]["coverage"] - 0.1
    assert (
        abs(np.mean([len(names) for names in sets]) - reliability["conformal"]["mean_size"]) < 0.5
    )
    assert [names[0] for names in sets] == classifier.predict(fresh).tolist()


def test_calibrated_probabilities_are_the_others_after_temperature(
    classifier: hf.Classifier, reliability: dict[str, Any], fresh: list[Path]
) -> None:
    raw = classifier.predict_proba(fresh)
    calibrated = classifier.predict_proba(fresh, calibrated=True)
    np.testing.assert_allclose(
        calibrated, scale(raw, reliability["temperature"]["value"]), rtol=1e-9
    )
    assert raw.shape == (80, 4)


def test_predictions_of_files_say_the_same_as_the_arrays(
    classifier: hf.Classifier, fresh: list[Path]
) -> None:
    paths = [*fresh[:3], Path(__file__), fresh[3]]
    *good, last = [p for p in classifier.iter_predictions(paths) if not p.error]
    (bad,) = [p for p in classifier.iter_predictions(paths) if p.error]
    assert (bad.outlier, bad.prediction_set, bad.calibrated) == (None, None, None)
    found = [*good, last]
    calibrated = classifier.predict_proba(fresh[:4], calibrated=True).max(axis=1)
    np.testing.assert_allclose([p.calibrated for p in found], calibrated, rtol=1e-6)
    sets = classifier.predict_set(fresh[:4])
    assert [list(p.prediction_set or ()) for p in found] == sets
    assert [p.outlier for p in found] == (classifier.outlier_scores(fresh[:4]) > 1).tolist()


def test_keras_itself_gives_the_same_scores(
    classifier: hf.Classifier, fresh: list[Path], root: Path
) -> None:
    images = pixels(fresh[:8])
    expected = classifier.outlier_scores(images)
    np.testing.assert_allclose(classifier.outlier_scores(images.astype(float)), expected, rtol=1e-3)
    network = keras_network(root / "model.keras", WITH_MEANS).model
    both = network.predict_on_batch(images.astype(np.float32))
    assert both.shape == (8, 4 + 1280)
    np.testing.assert_allclose(both[:, :4], classifier.predict_proba(images), atol=1e-3)


def test_plain_keras_sees_a_model_with_one_output(
    classifier: hf.Classifier, fresh: list[Path], root: Path
) -> None:
    np.save(root / "pixels.npy", pixels(fresh[:4]).astype(np.float32))
    run_plain(
        "import keras, numpy as np, sys;"
        "m = keras.models.load_model('model.keras');"
        "assert len(m.outputs) == 1 and m.output_shape == (None, 4);"
        "np.save('plain.npy', m.predict(np.load('pixels.npy'), verbose=0));"
        "assert 'headfit' not in sys.modules",
        root,
    )
    expected = classifier.predict_proba(pixels(fresh[:4]))
    np.testing.assert_allclose(np.load(root / "plain.npy"), expected, atol=1e-3)


def test_no_images_give_no_answers(classifier: hf.Classifier) -> None:
    nothing = np.empty((0, SIZE, SIZE, 3), np.uint8)
    for images in ([], nothing):
        assert classifier.predict_proba(images).shape == (0, 4)
        assert classifier.outlier_scores(images).shape == (0,)
        assert classifier.predict_set(images) == []


def test_a_model_without_thresholds_says_so(
    classifier: hf.Classifier, root: Path, fresh: list[Path]
) -> None:
    old = root / "old.keras"
    with zipfile.ZipFile(root / "model.keras") as source, zipfile.ZipFile(old, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name == NAME:
                data = data.replace(b'"reliability"', b'"unknown"')
            if name != ARRAYS:
                target.writestr(name, data)
    without = hf.Classifier.load(old)
    np.testing.assert_allclose(
        without.predict_proba(fresh[:2]), classifier.predict_proba(fresh[:2]), atol=1e-5
    )
    (prediction,) = without.iter_predictions(fresh[:1])
    assert (prediction.outlier, prediction.prediction_set) == (None, None)
    for ask in (without.predict_set, without.outlier_scores):
        with pytest.raises(hf.ModelFileError, match=r"old\.keras.*comparison again"):
            ask(fresh[:1])
    with pytest.raises(hf.ModelFileError, match="comparison again"):
        without.predict_proba(fresh[:1], calibrated=True)


def test_a_detector_of_another_backbone_is_refused(
    classifier: hf.Classifier, root: Path, fresh: list[Path]
) -> None:
    record = classifier.record
    features = np.random.default_rng(0).random((60, 20), np.float32)
    folds = np.arange(60) % 5
    assert record.reliability is not None
    other = replace(record.reliability, detector=fit_detector(features, folds % 2, folds))
    narrow = root / "narrow.keras"
    with zipfile.ZipFile(root / "model.keras") as source, zipfile.ZipFile(narrow, "w") as target:
        for name in source.namelist():
            if name not in (NAME, ARRAYS):
                target.writestr(name, source.read(name))
    replace(record, reliability=other).append_to(narrow)
    with pytest.raises(hf.ModelFileError, match="20 channels, but its backbone gives 1280"):
        hf.Classifier.load(narrow).predict(fresh[:1])
