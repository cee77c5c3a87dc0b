"""What ``explain`` says of whole classifiers, through their files."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

import classifiers
import headfit as hf
from headfit.backbones.engines.interface import probe_images
from headfit.errors import EngineError, ModelFileError, UnknownNameError, UsageError
from headfit.explain import faithfulness, gallery
from headfit.explain.colours import OPPOSES, SUPPORTS, coloured, scale_of
from headfit.explain.explainer import HIRESCAM
from headfit.explain.gallery import safe_name
from headfit.images.targets import LABELS, NUMBER
from headfit.model.maps import SavedMapModel

IMAGES = probe_images(classifiers.SIDE, classifiers.SIDE)


@pytest.fixture(scope="module")
def corners(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corners") / "model.keras"
    return classifiers.corner_classifier("flatten", path)


@pytest.mark.parametrize("chain", ["gap-bn", "flatten", "low_rank", "attention"])
def test_the_map_sums_to_the_logit_of_the_network_itself(chain: str, tmp_path: Path) -> None:
    explainer = hf.Classifier(
        classifiers.random_classifier(chain, tmp_path / "model.keras")
    ).explainer
    for target in (0, 2):
        for one in explainer.explain(IMAGES, target):
            scale = max(1.0, abs(one.logit))
            assert abs(one.map.sum() + one.bias - one.logit) <= 1e-4 * scale
            assert np.ptp(one.map) > 1e-3
            assert one.method.startswith("exact")


@pytest.mark.slow
def test_a_hidden_layer_gets_hirescam_and_its_error(tmp_path: Path) -> None:
    path = classifiers.random_classifier("flatten-8", tmp_path / "model.keras")
    found = hf.Classifier(path).explainer.explain(IMAGES)
    assert {one.method for one in found} == {HIRESCAM}
    for one in found:
        assert one.completeness_error == pytest.approx(
            float(one.map.sum()) + one.bias - one.logit, abs=1e-6
        )
        assert np.ptp(one.map) > 1e-4
    # each ReLU that opens between a map of zeros and this one is missed by the gradient
    assert max(abs(one.completeness_error) for one in found) > 1e-4


@pytest.mark.slow
def test_keras_itself_gives_the_same_where_openvino_cannot(
    corners: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = hf.Classifier(corners).explainer.explain(IMAGES)

    def refuse(self: SavedMapModel) -> None:
        raise EngineError("no such operation")

    monkeypatch.setattr(SavedMapModel, "_graph", refuse)
    told: list[str] = []
    found = hf.Classifier(corners, told.append).explainer.explain(IMAGES)
    assert "Keras runs it, slower" in told[0]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.map, other.map, atol=1e-4)


def test_the_map_of_flatten_peaks_in_the_planted_corner(corners: Path) -> None:
    images, labels = classifiers.corner_images(3, seed=5)
    maps = hf.Classifier(corners).explain(images)
    assert maps.shape == (12, 8, 8)
    assert maps.dtype == np.float32
    for image, each, label in zip(images, maps, labels, strict=True):
        row, column = np.unravel_index(each.argmax(), each.shape)
        assert (row < 4, column >= 4) == (label >= 2, label % 2 == 1)
        bright = image.mean(axis=2) > 120
        rows, columns = np.nonzero(bright)
        # at the patch, or where a filter reaches into it
        assert rows.min() // 4 - 1 <= row <= rows.max() // 4 + 1
        assert columns.min() // 4 - 1 <= column <= columns.max() // 4 + 1


def test_deletion_of_the_true_map_beats_random_and_its_negative_does_not(corners: Path) -> None:
    explainer = hf.Classifier(corners).explainer
    images, labels = classifiers.corner_images(2, seed=7)
    true, false = [], []
    for image, one, label in zip(images, explainer.explain(images), labels, strict=True):
        assert one.target == label
        for sign, areas in ((1, true), (-1, false)):
            values = sign * one.map
            areas.append(
                faithfulness.areas(image, values, one.target, explainer.predictions, seed=1)
            )
    good, bad = faithfulness.summary(true), faithfulness.summary(false)
    assert good["deletion"]["map"] < good["deletion"]["random"] - 0.1
    assert good["insertion"]["map"] > good["insertion"]["random"] + 0.1
    assert good["deletion"]["better_than_random"] == 1
    assert bad["deletion"]["map"] > good["deletion"]["random"]


def test_a_class_is_explained_by_name(corners: Path) -> None:
    classifier = hf.Classifier(corners)
    named = [classifier.explain(IMAGES, name) for name in classifier.classes]
    logits = hf.Classifier(corners).explainer.explain(IMAGES)
    for number, one in enumerate(logits):
        np.testing.assert_array_equal(named[one.target][number], one.map)
    with pytest.raises(UnknownNameError, match=r"Unknown class 'top'.*Valid: bottom left"):
        classifier.explain(IMAGES, "top")
    with pytest.raises(UsageError, match=r"shape \(n, 32, 32, 3\)\."):
        classifier.explain(IMAGES[:, :16])
    assert classifier.explain([]).shape == (0, 8, 8)


def test_head_arrays_that_were_damaged_are_built_again(corners: Path) -> None:
    told: list[str] = []
    explainer = hf.Classifier(corners, told.append).explainer
    expected = explainer.explain(IMAGES)[0]
    head = explainer._model._graph().parent / "head.npz"
    head.write_bytes(b"damaged")
    again = hf.Classifier(corners, told.append).explainer.explain(IMAGES)[0]
    np.testing.assert_array_equal(again.map, expected.map)


def test_colours_tell_the_sign_and_nothing_else_at_zero() -> None:
    under = Image.new("RGB", (30, 10), (100, 100, 100))
    drawn = np.asarray(coloured(under, np.array([[-2.0, 0.0, 2.0]]), 1.0)).astype(int)
    left, middle, right = drawn[5, 1], drawn[5, 15], drawn[5, 28]
    assert np.ptp(middle) <= 25  # between the two halves of one position
    assert np.abs(left - OPPOSES).sum() < np.abs(left - SUPPORTS).sum()
    assert np.abs(right - SUPPORTS).sum() < np.abs(right - OPPOSES).sum()
    assert scale_of([np.zeros((2, 2))]) == 1.0
    assert scale_of([np.array([[-3.0]]), np.array([[1.0]])]) > 2.9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("five", "five"),
        ("../../etc/passwd", "etc_passwd"),
        ("<script>alert(1)</script>", "script_alert_1_script"),
        ("a\nb\x00\udc80", "a_b"),
        ("猫", "_"),
        ("x" * 300, "x" * 40),
    ],
)
def test_file_names_are_safe(text: str, expected: str) -> None:
    assert safe_name(text) == expected


def test_a_plot_has_the_image_the_map_and_a_scale() -> None:
    matplotlib.use("agg")
    values = np.linspace(-2, 1, 12, dtype=np.float32).reshape(3, 4)
    ax = hf.plot_explanation(IMAGES[0], values)
    grey, heat = ax.images
    assert grey.get_extent() == heat.get_extent()
    assert heat.get_clim() == (-2, 2)
    assert "logits" in ax.figure.axes[1].get_ylabel()
    assert hf.plot_explanation(IMAGES[0], values, ax) is ax
    plt.close(ax.figure)
    with pytest.raises(UsageError, match="one image at a time"):
        hf.plot_explanation(IMAGES, values)


@pytest.mark.parametrize("chain", ["netvlad-8", "simpool-8"])
def test_a_head_whose_gradient_says_nothing_is_refused(chain: str, tmp_path: Path) -> None:
    path = classifiers.random_classifier(chain, tmp_path / "model.keras")
    with pytest.raises(ModelFileError, match="gradient × map is 0 everywhere"):
        hf.Classifier(path).explain(IMAGES)


@pytest.mark.parametrize("chain", ["gap-bn", "flatten", "low_rank"])
@pytest.mark.parametrize("kind", [LABELS, NUMBER])
def test_the_map_sums_to_a_label_s_logit_or_to_the_number(
    chain: str, kind: str, tmp_path: Path
) -> None:
    path = classifiers.random_classifier(chain, tmp_path / "model.keras", kind=kind)
    classifier = hf.Classifier(path)
    outputs = classifier.outputs(IMAGES)
    for target, name in enumerate(classifier.classes):
        maps = classifier.explain(IMAGES, name)
        explained = classifier.explainer.explain(IMAGES, target)
        for one, map_, output in zip(explained, maps, outputs[:, target], strict=True):
            np.testing.assert_array_equal(map_, one.map)
            total = one.map.sum(dtype=np.float64) + one.bias
            given = total if kind == NUMBER else 1 / (1 + np.exp(-total))
            assert given == pytest.approx(output, rel=1e-4, abs=1e-4)
            assert (one.probability is None) == (kind == NUMBER)


def test_without_a_name_the_first_number_is_explained(tmp_path: Path) -> None:
    explainer = hf.Classifier(
        classifiers.random_classifier("gap", tmp_path / "model.keras", kind=NUMBER)
    ).explainer
    assert {one.target for one in explainer.explain(IMAGES)} == {0}
    with pytest.raises(UnknownNameError, match="number 'z'"):
        explainer.target("z")


def test_where_the_object_is_pushes_its_coordinate_up_or_down(tmp_path: Path) -> None:
    path = classifiers.corner_predictor("flatten", tmp_path / "model.keras", NUMBER)
    images, corners = classifiers.corner_images(4, seed=3)
    maps = hf.Classifier(path).explain(images, "x")
    right = corners % 2 == 1
    sums = maps.sum(axis=(1, 2))
    assert sums[right].min() > sums[~right].max()


def test_models_of_different_kinds_are_not_compared(corners: Path, tmp_path: Path) -> None:
    numbers = classifiers.corner_predictor("flatten", tmp_path / "model.keras", NUMBER)
    models = [hf.Classifier(path).explainer for path in (corners, numbers)]
    with pytest.raises(UsageError, match=r"predicts classes, and .* predicts numbers"):
        next(gallery.explain_files(models, []))
