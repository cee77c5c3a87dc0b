from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as reference

from headfit.study.reliability.per_class import confusion_matrix, report_classes


@pytest.mark.parametrize("seed", range(5))
def test_figures_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, labels = rng.dirichlet(np.ones(5), (1, 60)), rng.integers(0, 5, 60)
    weights = rng.random(60)
    predicted = p[0].argmax(axis=1)
    np.testing.assert_array_equal(
        confusion_matrix(p, labels), reference.confusion_matrix(labels, predicted, labels=range(5))
    )
    for by in (None, weights):
        expected = reference.precision_recall_fscore_support(
            labels, predicted, labels=range(5), zero_division=np.nan, sample_weight=by
        )
        rows = report_classes(p, labels, "abcde", weights=by)
        found = [(r.precision, r.recall, r.f1) for r in rows]
        np.testing.assert_allclose(np.array(found, float), np.transpose(expected[:3]))
        assert [r.images for r in rows] == np.bincount(labels, minlength=5).tolist()


def test_what_is_unknown_is_none() -> None:
    labels = np.repeat([0, 0, 0, 2, 3], [3, 2, 1, 4, 1])
    predicted = np.repeat([0, 2, 3, 2, 0], [3, 2, 1, 4, 1])
    a, b, c, d = report_classes(np.eye(4)[predicted][None], labels, ["a", "b", "c", "d"])
    assert (a.images, a.confused_with, a.recall) == (6, "c", 0.5)
    assert (b.images, b.precision, b.recall, b.f1, b.confused_with) == (0, None, None, None, None)
    assert (b.recall_low, b.recall_high) == (None, None)
    assert (c.recall, c.confused_with) == (1.0, None)
    assert (d.precision, d.recall, d.f1, d.confused_with) == (0.0, 0.0, 0.0, "a")


def test_figures_are_means_over_repeats_and_not_of_the_mean_of_models() -> None:
    """Three models that are wrong on an image each; their mean is right on all."""
    labels = np.array([0, 0, 0, 1, 1, 1])
    p = np.tile(np.where(np.eye(2)[labels] > 0, 0.9, 0.1), (3, 1, 1))
    for repeat in range(3):
        p[repeat, repeat] = [0.4, 0.6]
    assert (p.mean(axis=0).argmax(axis=1) == labels).all()
    a, b = report_classes(p, labels, "ab")
    assert (a.recall, b.recall, b.precision) == pytest.approx((2 / 3, 1, 3 / 4))
    np.testing.assert_allclose(confusion_matrix(p, labels), [[2, 1], [0, 3]])


def test_images_of_one_group_widen_the_interval_of_the_recall() -> None:
    labels, predicted = np.zeros(60, int), np.repeat([0, 1], [50, 10])
    p = np.eye(2)[predicted][None]
    alone, tens = (
        report_classes(p, labels, "ab", groups)[0] for groups in (None, np.arange(60) // 10)
    )
    assert alone.recall == tens.recall
    assert tens.recall_low is not None and alone.recall_low is not None
    assert tens.recall_low < alone.recall_low - 0.2
    assert tens.independent < 6
    assert alone.independent == pytest.approx(60)
