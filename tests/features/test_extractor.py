from __future__ import annotations

import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks as checks
from sklearn.utils import get_tags

import headfit as hf
from headfit.features import extractor as module

TINY = {"backbone": "MobileNet", "weights": "random", "size": 32}


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> list[Path]:
    """Light and dark pictures, a folder for each."""
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("photos")
    paths = []
    for number in range(12):
        label = ("dark", "light")[number % 2]
        pixels = rng.integers(0, 100, (40, 48, 3), np.uint8) + np.uint8(150 * (number % 2))
        path = root / label / f"{number:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
        paths.append(path)
    return paths


@pytest.fixture
def labels(paths) -> list[str]:
    return [path.parent.name for path in paths]


def pixels_of(paths: list[Path]) -> np.ndarray:
    return np.stack([np.asarray(Image.open(path)) for path in paths])


@pytest.fixture
def passes(monkeypatch) -> list[str]:
    """Gather the backbones that are opened."""
    opened = []
    original = module.open_engine

    def watched(spec, *args, **kwargs):
        opened.append(spec.name)
        return original(spec, *args, **kwargs)

    monkeypatch.setattr(module, "open_engine", watched)
    return opened


@pytest.mark.parametrize(("pooling", "width"), [("gap", 1), ("gmp", 1), ("avgmax", 2)])
def test_pooled_features_are_those_of_the_maps(paths, pooling, width):
    maps = hf.FeatureExtractor(**TINY, pooling=None).fit_transform(paths)
    features = hf.FeatureExtractor(**TINY, pooling=pooling).fit_transform(paths)
    assert maps.dtype == features.dtype == np.float32
    n, *positions, channels = maps.shape
    assert (n, positions) == (12, [1, 1])
    assert features.shape == (n, width * channels)
    np.testing.assert_allclose(features[:, :channels], maps[:, 0, 0], rtol=1e-6)


def test_arrays_files_and_an_index_give_the_same_features(paths):
    extractor = hf.FeatureExtractor(**TINY, pooling="flatten")
    features = extractor.fit_transform(paths)
    np.testing.assert_array_equal(extractor.transform(pixels_of(paths)), features)
    index = hf.ImageIndex.from_directory(paths[0].parent.parent)
    order = [index.source.root / path for path in index.paths]
    np.testing.assert_array_equal(extractor.transform(index), extractor.transform(order))
    column = pd.DataFrame({"path": [str(path) for path in paths]})
    np.testing.assert_array_equal(extractor.transform(column), features)


def test_each_fold_of_a_cross_validation_costs_no_pass(paths, labels, passes):
    model = make_pipeline(hf.FeatureExtractor(**TINY), LogisticRegression())
    hf.FeatureExtractor(**TINY).fit_transform(paths)
    passes.clear()
    scores = cross_val_score(model, paths, labels, cv=3)
    assert scores.shape == (3,)
    assert scores.mean() == 1
    assert passes == []
    assert set(model.fit(np.array(paths), labels).predict(paths[:2])) == {"dark", "light"}


def test_pandas_output_has_names_and_the_index(paths):
    extractor = hf.FeatureExtractor(**TINY, pooling="avgmax").set_output(transform="pandas")
    table = extractor.fit_transform(pd.Series([str(path) for path in paths], index=range(5, 17)))
    assert table.columns[0] == "avgmax0"
    assert list(table.columns) == extractor.get_feature_names_out().tolist()
    assert table.index.tolist() == list(range(5, 17))


def test_a_clone_and_a_pickle_give_the_same_features(paths):
    extractor = hf.FeatureExtractor(**TINY).fit(paths[:1])
    again = pickle.loads(pickle.dumps(extractor))
    assert again.map_shape_ == extractor.map_shape_
    copy = clone(extractor)
    assert copy.get_params() == extractor.get_params()
    assert not hasattr(copy, "map_shape_")
    np.testing.assert_array_equal(copy.transform(paths[:2]), again.transform(paths[:2]))
    assert repr(copy) == "FeatureExtractor(backbone='MobileNet', size=32, weights='random')"


def test_an_unreadable_image_is_named(paths, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"GIF8")
    with pytest.raises(hf.ImageError, match=r"broken.png' cannot be read: "):
        hf.FeatureExtractor(**TINY).transform([*paths[:2], broken])


@pytest.mark.parametrize(
    ("X", "match"),
    [
        ("photo.png", "list of image files"),
        ([], "`X` is empty"),
        ([3.5], r"X\[0\] of type float"),
        (np.zeros((2, 8, 8, 3)), "uint8 of shape.*Received: float64 of shape"),
        (np.zeros((2, 8, 8, 1), np.uint8), r"Received: uint8 of shape \(2, 8, 8, 1\)"),
    ],
)
def test_what_is_no_image_is_refused(X, match):
    with pytest.raises(hf.UsageError, match=match):
        hf.FeatureExtractor(**TINY).fit(X)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"pooling": "gem"}, "`pooling` must be one of 'gap', .*None. Received: pooling='gem'"),
        ({"engine": "tpu"}, "`engine` must be one of"),
        ({"precision": "int8"}, "`precision` must be 'float32'"),
        ({"backbone": "MobileNot"}, "Did you mean"),
    ],
)
def test_parameters_are_checked_when_they_are_used(paths, changes, match):
    with pytest.raises(hf.UsageError, match=match):
        hf.FeatureExtractor(**{**TINY, **changes}).fit(paths)


def test_names_need_a_fit_and_a_pooling(paths):
    with pytest.raises(NotFittedError):
        hf.FeatureExtractor(**TINY).get_feature_names_out()
    with pytest.raises(hf.UsageError, match="set `pooling`"):
        hf.FeatureExtractor(**TINY, pooling=None).fit(paths).get_feature_names_out()


def test_it_keeps_the_conventions_of_scikit_learn():
    extractor = hf.FeatureExtractor(**TINY)
    for check in (
        checks.check_parameters_default_constructible,
        checks.check_get_params_invariance,
        checks.check_set_params,
        checks.check_no_attributes_set_in_init,
        checks.check_estimator_repr,
        checks.check_estimator_cloneable,
        checks.check_estimator_tags_renamed,
        checks.check_valid_tag_types,
    ):
        check("FeatureExtractor", clone(extractor))
    tags = get_tags(extractor)
    assert tags.input_tags.string
    assert not tags.input_tags.two_d_array
    assert not tags.requires_fit


def test_the_documented_cross_validation_runs(tmp_path, monkeypatch):
    digits = load_digits(n_class=2)
    for number, (ink, label) in enumerate(zip(digits.images[:40], digits.target, strict=False)):
        path = tmp_path / "photos" / ("zero", "one")[label] / f"{number:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        grey = Image.fromarray((ink * 15).astype(np.uint8))
        grey.resize((96, 96)).save(path)
    text = (Path(__file__).parents[2] / "docs" / "python.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (block,) = (block for block in blocks if "FeatureExtractor" in block)
    monkeypatch.chdir(tmp_path)
    names = {"hf": hf}
    exec(block.replace("print(", "scores = ("), names)
    assert names["scores"].mean() > 0.9


def test_headfit_itself_does_not_import_scikit_learn():
    code = "import sys, headfit; print('sklearn' in sys.modules)"
    command = [sys.executable, "-c", code]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output == "False\n"
