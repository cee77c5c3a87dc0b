from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.covariance import ledoit_wolf
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from headfit.backbones.catalog import find
from headfit.backbones.engines.engine import Engine, open_engine
from headfit.images.decode import decode
from headfit.images.index import ImageIndex
from headfit.samples.catalog import write_sample
from headfit.study.reliability import outliers
from headfit.study.reliability.outliers import OutlierDetector, fit_detector
from headfit.util.subspace import leading_directions

SHARED = Path(__file__).parent.parent.parent.parent / "shared"
HANDS = SHARED / "data" / "sign-language-digits"
MOBILENET = SHARED / "weights" / "mobilenet_1_0_224_no_top.weights.h5"
SIDE = 128  # of the images


def features(seed: int, n: int, channels: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Channel means of three classes: not negative, a few directions strong, the rest weak."""
    rng = np.random.default_rng([seed, 1])
    labels = rng.integers(0, 3, n)
    directions = np.random.default_rng(0).normal(0, 0.4, (8, channels))
    weights = rng.normal(0, 1, (n, 8)) + 2 * np.eye(3, 8)[labels]
    x = 3 + weights @ directions + rng.normal(0, 0.1, (n, channels))
    return np.maximum(x, 0).astype(np.float32), labels


def test_one_image_in_twenty_of_the_same_kind_is_flagged() -> None:
    x, labels = features(0, 500)
    detector = fit_detector(x, labels, np.arange(500) % 10)
    fresh, _ = features(1, 4000)
    flagged = int((detector.scores(fresh) > 1).sum())
    # the threshold itself is drawn from 500 images
    low, high = binom.ppf([0.001, 0.999], 500, 0.05) / 500
    assert low < flagged / 4000 < high


def test_a_detector_that_scored_its_own_images_would_flag_too_many() -> None:
    x, labels = features(0, 120, channels=400)
    detector = fit_detector(x, labels, np.arange(120) % 5)
    own = np.quantile(detector.scores(x), 0.95)
    assert own < 0.9  # what a threshold on images it was fitted on would be, relative to the honest
    fresh, _ = features(1, 2000, channels=400)
    assert (detector.scores(fresh) > 1).mean() < 0.1
    assert (detector.scores(fresh) > own).mean() > 0.15


def test_few_channels_leave_no_rest_whose_rounding_would_count() -> None:
    x, labels = features(0, 400, channels=12)
    detector = fit_detector(x, labels, np.arange(400) % 5)
    assert len(detector.directions) == 12
    for fresh in (x, features(1, 2000, channels=12)[0]):
        scores = detector.scores(fresh)
        assert (scores > 1).mean() < 0.08
        assert scores.max() < 3


def test_both_parts_see_what_is_unlike() -> None:
    x, labels = features(0, 400)
    detector = fit_detector(x, labels, np.arange(400) % 5)
    rng = np.random.default_rng(2)
    off = x[:50] + rng.normal(0, 0.6, (50, 60)).astype(np.float32)  # outside of the directions
    within = 3 + 9 * np.random.default_rng(0).normal(0, 0.4, (8, 60))[7]  # far along one of them
    blank = np.zeros((1, 60), np.float32)
    assert (detector.scores(off) > 1).all()
    assert detector.scores(np.maximum(within, 0)[None].astype(np.float32))[0] > 1
    assert detector.scores(blank)[0] > 1


def rounding(detector: OutlierDetector, x: np.ndarray) -> np.ndarray:
    """Bound how far float32 can take the scores of images, relatively, float64 (n,).

    A sum of m products is off by at most m·u of the sum of their absolute values, u = 2⁻²⁴
    (Higham 2002, section 3.1), in whatever order it is taken, which is what company changes. With
    |z| the length of a centred image and a its coordinates, that is 2·C·u·|z|² for each of the two
    squared lengths whose difference is *rest*, and 2·(C + r)·u·(|z|/spread)·‖a/spread‖-like terms
    for *near*. A score is a root, which halves relative errors.
    """
    z = x / np.linalg.norm(x, axis=1, keepdims=True) - detector.mean
    along = (z @ detector.directions.T) / detector.spread
    centres = detector.centres / detector.spread
    terms, unit = z.shape[1] + len(detector.spread) + 8, 2.0**-24
    squared = np.vecdot(z, z)
    outside = 4 * terms * unit * squared / detector.rest
    # each coordinate is off by terms·u·|z| / spread; distances add lengths that then cancel
    coordinate = terms * unit * np.sqrt(squared) * np.linalg.norm(1 / detector.spread)
    reach = np.linalg.norm(along, axis=1) + np.linalg.norm(centres, axis=1).max()
    near = 2 * coordinate * reach + 2 * terms * unit * reach**2
    score = detector.scores(x) * detector.threshold
    bound: np.ndarray = (outside + near) / (2 * score**2)
    return bound


def test_scores_do_not_depend_on_brightness_or_company() -> None:
    x, labels = features(0, 100)
    detector = fit_detector(x, labels, np.arange(100) % 5)
    scores = detector.scores(x)
    bound = rounding(detector, x)
    assert bound.max() < 0.01  # else the test could not fail
    for factor in (3, 0.1):
        other = detector.scores(np.float32(factor) * x)
        assert (np.abs(other / scores - 1) <= 2 * bound).all()
    for number in range(len(x)):
        alone = detector.scores(x[number : number + 1])[0]
        assert abs(alone / scores[number] - 1) <= 2 * bound[number]
    assert scores.dtype == np.float64


def test_same_seed_same_detector() -> None:
    x, labels = features(0, 100)
    one, two = (fit_detector(x, labels, np.arange(100) % 5, seed=3) for _ in range(2))
    for name, array in one.to_data()[1].items():
        np.testing.assert_array_equal(array, two.to_data()[1][name])
    assert one.to_data()[0] == two.to_data()[0]


def test_directions_are_those_of_a_full_decomposition() -> None:
    x, _ = features(0, 300)
    z = x - x.mean(axis=0)
    found = leading_directions(z, 5, np.random.default_rng(0), np.float32).T
    np.testing.assert_allclose(found @ found.T, np.eye(5), atol=1e-5)
    expected = PCA(5).fit(z).components_
    np.testing.assert_allclose(np.abs(np.vecdot(found, expected)), 1, atol=1e-4)


@pytest.mark.parametrize(("n", "p"), [(20, 8), (300, 5), (6, 12), (2, 3)])
def test_shrinkage_is_that_of_scikit_learn(n: int, p: int) -> None:
    rng = np.random.default_rng(n)
    deviations = rng.normal(0, 1, (n, p)) * np.arange(1, p + 1)
    expected, _ = ledoit_wolf(deviations, assume_centered=True)
    np.testing.assert_allclose(outliers.shrunk_covariance(deviations), expected, rtol=1e-9)


@pytest.mark.parametrize("n", [6, 12])
def test_a_handful_of_images_and_constant_ones_give_finite_scores(n: int) -> None:
    x, _ = features(0, n)
    labels, folds = np.arange(n) % 2, np.arange(n) // 2 % 3
    for values in (x, np.ones_like(x), np.zeros_like(x)):
        detector = fit_detector(values, labels, folds)
        assert np.isfinite(detector.scores(x)).all()
        assert detector.threshold > 0


def test_what_is_stored_is_small_and_survives_the_round_trip() -> None:
    x, labels = features(0, 300, channels=1280)
    detector = fit_detector(x, labels, np.arange(300) % 5)
    facts, arrays = detector.to_data()
    assert sum(array.nbytes for array in arrays.values()) < 200_000
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
    again = OutlierDetector.from_data(facts, arrays)
    np.testing.assert_array_equal(again.scores(x), detector.scores(x))


@pytest.mark.parametrize(
    ("facts", "arrays"),
    [
        ({"method": "energy"}, {}),
        ({"threshold": 0}, {}),
        ({"rest": float("nan")}, {}),
        ({}, {"outlier_spread": np.zeros(25, np.float32)}),
        ({}, {"outlier_mean": np.ones(59, np.float32)}),
        ({}, {"outlier_centres": np.ones((0, 25), np.float32)}),
        ({}, {"outlier_directions": np.ones(3, np.float32)}),
    ],
)
def test_a_detector_that_cannot_be_is_refused(
    facts: dict[str, object], arrays: dict[str, np.ndarray]
) -> None:
    x, labels = features(0, 100)
    good = fit_detector(x, labels, np.arange(100) % 5).to_data()
    assert OutlierDetector.from_data(*good).channels == 60
    with pytest.raises(ValueError, match="outlier"):
        OutlierDetector.from_data({**good[0], **facts}, {**good[1], **arrays})


@pytest.mark.slow
@pytest.mark.skipif(
    not (HANDS.is_dir() and MOBILENET.is_file()),
    reason="needs photographs of hands and MobileNet weights in ../shared",
)
def test_photographs_of_another_kind_are_told_apart(tmp_path: Path) -> None:
    """Hands against solar cells and the reverse, both against noise and plain colours."""
    pytest.importorskip("elpv_dataset")
    spec = find("MobileNet")
    engine = open_engine(spec, spec.contract(SIDE), str(MOBILENET), engine="openvino")
    rng = np.random.default_rng(0)
    x, labels = {}, {}
    for name, folder in (("hands", HANDS), ("cells", write_sample("solar-cells", tmp_path / "c"))):
        index = ImageIndex.from_directory(folder)
        index = index.subset(np.sort(rng.permutation(len(index))[:600]))
        files = (index.read_bytes(i) for i in range(len(index)))
        x[name] = channel_means(engine, (decode(data, SIDE, SIDE) for data in files))
        labels[name] = index.labels
    x["noise"] = channel_means(engine, rng.integers(0, 256, (20, SIDE, SIDE, 3), np.uint8))
    colours = rng.integers(0, 256, (20, 1, 1, 3), np.uint8)
    x["plain"] = channel_means(engine, colours.repeat(SIDE, 1).repeat(SIDE, 2))
    for name in ("hands", "cells"):
        known, fresh = x[name][:400], x[name][400:]
        detector = fit_detector(known, labels[name][:400], np.arange(400) % 10)
        scores = detector.scores(fresh)
        print(f"{name}: {(scores > 1).mean():.3f} of other images of the kind are flagged")
        assert (scores > 1).mean() < 0.12
        for other in x.keys() - {name}:
            strange = detector.scores(x[other])
            area = roc_auc_score(
                np.arange(len(scores) + len(strange)) >= len(scores),
                np.concatenate([scores, strange]),
            )
            print(f"  {other}: AUROC {area:.4f}, missed {(strange <= 1).mean():.4f}")
            assert area > 0.99
            assert (strange <= 1).mean() < 0.02


def channel_means(engine: Engine, images: Iterable[np.ndarray]) -> np.ndarray:
    found = dict(engine.run((i, image[None]) for i, image in enumerate(images)))
    return np.stack([found[i][0].mean(axis=(0, 1)) for i in range(len(found))])
