"""Whatever an image comes as, a classifier says the same of it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import classifiers
import headfit as hf
from headfit.backbones.engines.interface import probe_images

SIDE = classifiers.SIDE
PIXELS = probe_images(SIDE, SIDE)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> hf.Classifier:
    path = tmp_path_factory.mktemp("model") / "model.keras"
    return hf.Classifier.load(classifiers.random_classifier("gap", path))


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("images")
    for number, pixels in enumerate(PIXELS):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


def test_predict_gives_an_array_of_class_names(
    classifier: hf.Classifier, paths: list[Path]
) -> None:
    p = classifier.predict_proba(paths)
    names = classifier.predict(paths)
    assert (names.shape, names.dtype.kind, p.shape) == ((2,), "U", (2, 3))
    assert classifier.classes_.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(names, classifier.classes_[p.argmax(axis=1)])
    assert classifier.predict([]).shape == (0,)


def test_paths_pictures_and_arrays_are_one(classifier: hf.Classifier, paths: list[Path]) -> None:
    expected = classifier.predict_proba(paths)
    pictures = [Image.open(path) for path in paths]
    for images in (map(str, paths), pictures, [paths[0], pictures[1]], PIXELS, iter(paths)):
        np.testing.assert_allclose(classifier.predict_proba(images), expected, atol=1e-6)
    maps = classifier.explain(paths)
    np.testing.assert_allclose(classifier.explain(pictures), maps, atol=1e-6)
    np.testing.assert_allclose(classifier.predict_proba(PIXELS / 1.0), expected, atol=1e-3)


def test_one_image_needs_no_list(classifier: hf.Classifier, paths: list[Path]) -> None:
    expected = classifier.predict_proba(paths)[:1]
    for image in (paths[0], str(paths[0]), Image.open(paths[0]), PIXELS[0]):
        np.testing.assert_allclose(classifier.predict_proba(image), expected, atol=1e-6)
        assert classifier.predict(image).shape == (1,)
    (prediction,) = classifier.iter_predictions(paths[0])
    assert (prediction.path, prediction.error) == (str(paths[0]), "")
    assert classifier.explain(paths[0]).shape == (1, 8, 8)


def test_a_picture_is_brought_to_size_upright_and_opaque(classifier: hf.Classifier) -> None:
    picture = Image.fromarray(PIXELS[0]).resize((50, 70)).convert("RGBA")
    assert classifier.predict_proba(picture).shape == (1, 3)
    clear = Image.new("RGBA", (9, 9), (0, 0, 0, 0))
    white = Image.new("RGB", (9, 9), "white")
    np.testing.assert_array_equal(classifier.predict_proba(clear), classifier.predict_proba(white))


def test_an_image_that_cannot_be_read_is_named_and_stops_nothing_else(
    classifier: hf.Classifier, paths: list[Path], tmp_path: Path
) -> None:
    empty = tmp_path / "empty.jpg"
    empty.touch()
    images = [empty, Image.new("RGB", (0, 0)), *paths, empty]
    predictions = list(classifier.iter_predictions(images))
    assert [bool(each.error) for each in predictions] == [True, True, False, False, True]
    assert [each.path for each in predictions[:2]] == [str(empty), "image 2"]
    with pytest.raises(hf.ImageError, match=r"empty\.jpg' cannot be read: empty file"):
        classifier.predict(images)


def test_pixels_that_were_scaled_are_warned_of(classifier: hf.Classifier) -> None:
    with pytest.warns(UserWarning, match="No pixel of `images` exceeds 1"):
        classifier.predict_proba(PIXELS / 255)
    with warnings.catch_warnings(action="error"):
        classifier.predict_proba(np.zeros((1, SIDE, SIDE, 3), np.uint8))


@pytest.mark.parametrize(
    "images",
    [
        PIXELS[:, :16],
        PIXELS[..., :1],
        PIXELS[0, 0],
        PIXELS.astype(str),
        PIXELS > 100,
        PIXELS.astype(np.uint16) * 16,
    ],
    ids=["height", "grey", "row", "text", "mask", "12 bits"],
)
def test_an_array_of_another_kind_is_refused(images: np.ndarray, classifier: hf.Classifier) -> None:
    with pytest.raises(hf.UsageError, match=r"`images` must .* Received: (shape|dtype|values)"):
        classifier.predict(images)
