from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as reference

from headfit.study.reliability.per_class import confusion_matrix, report_classes


@pytest.mark.parametrize("seed", range(5))
def test_figures_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, labels = rng.dirichlet(np.ones(5), 60), rng.integers(0, 5, 60)
    predicted = p.argmax(axis=1)
    confusion = confusion_matrix(p, labels)
    np.testing.assert_array_equal(
        confusion, reference.confusion_matrix(labels, predicted, labels=range(5))
    )
    expected = reference.precision_recall_fscore_support(
        labels, predicted, labels=range(5), zero_division=np.nan
    )
    found = [(r.precision, r.recall, r.f1, r.images) for r in report_classes(confusion, "abcde")]
    np.testing.assert_allclose(np.array(found, float), np.transpose(expected))


def test_what_is_unknown_is_none() -> None:
    confusion = np.array([[3, 0, 2, 1], [0, 0, 0, 0], [0, 0, 4, 0], [1, 0, 0, 0]])
    a, b, c, d = report_classes(confusion, ["a", "b", "c", "d"])
    assert (a.images, a.confused_with, a.recall) == (6, "c", 0.5)
    assert (b.images, b.precision, b.recall, b.f1, b.confused_with) == (0, None, None, None, None)
    assert (c.recall, c.confused_with) == (1.0, None)
    assert (d.precision, d.recall, d.f1, d.confused_with) == (0.0, 0.0, 0.0, "a")
