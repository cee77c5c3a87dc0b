from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from headfit.errors import EngineError
from headfit.fitting.exact.coordinates import blocks_of, centred_gram
from headfit.fitting.exact.ridge import RidgeScreen, inner_errors
from headfit.fitting.problem import inner_pairs

PENALTY = 1e-2


def features_and_labels(n: int = 60, d: int = 20) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 3
    centres = rng.normal(size=(3, d))
    return (centres[labels] + 2 * rng.normal(size=(n, d)) + 1).astype(np.float32), labels


def refitted(features, labels, left_out, penalty=PENALTY) -> np.ndarray:
    """Residuals of scikit-learn's ridge, trained on all other rows."""
    x, y = features.astype(np.float64), np.eye(3)[labels]
    trace = np.square(x - x.mean(axis=0)).sum()
    kept = np.setdiff1d(np.arange(len(x)), left_out)
    model = Ridge(alpha=penalty * trace, solver="svd").fit(x[kept], y[kept])
    return y[left_out] - model.predict(x[left_out])


@pytest.mark.parametrize("d", [20, 200])
def test_residuals_are_those_of_refitting_without_the_rows(d):
    features, labels = features_and_labels(d=d)
    gram, _ = centred_gram(blocks_of(features), len(labels))
    screen = RidgeScreen(gram, np.eye(3)[labels], PENALTY)
    for left_out in (np.array([7]), np.arange(0, 60, 4), np.arange(30)):
        wanted = refitted(features, labels, left_out)
        np.testing.assert_allclose(screen.residuals(left_out), wanted, atol=1e-4)


@pytest.mark.parametrize("penalty", [1e-1, 1e-2, 1e-4])
@pytest.mark.parametrize("d", [20, 200])
def test_in_float64_they_are_those_of_refitting_to_eight_digits(d, penalty):
    features, labels = features_and_labels(d=d)
    centred = features - features.mean(axis=0, dtype=np.float64)
    screen = RidgeScreen(centred @ centred.T, np.eye(3)[labels], penalty, dtype=np.float64)
    quick = RidgeScreen(centred @ centred.T, np.eye(3)[labels], penalty)
    for fold in range(5):
        left_out = np.flatnonzero(np.arange(60) // 3 % 5 == fold)
        found, rough = screen.residuals(left_out), quick.residuals(left_out)
        assert (found.dtype, rough.dtype) == (np.float64, np.float32)
        wanted = refitted(features, labels, left_out, penalty)
        np.testing.assert_allclose(found, wanted, atol=1e-8)
        assert np.abs(rough - wanted).max() > 1e-8  # which float32 cannot reach


def test_each_fold_is_judged_on_its_inner_folds_alone():
    features, labels = features_and_labels()
    gram, _ = centred_gram(blocks_of(features), len(labels))
    assignment = np.arange(60) // 3 % 4
    found = inner_errors(
        RidgeScreen(gram, np.eye(3)[labels], PENALTY), assignment, inner_pairs(4), 4
    )
    for outer in range(4):
        wanted = 0.0
        for inner in set(range(4)) - {outer}:
            left_out = np.flatnonzero(np.isin(assignment, (outer, inner)))
            residuals = refitted(features, labels, left_out)
            wanted += np.square(residuals[assignment[left_out] == inner]).sum()
        assert found[outer] == pytest.approx(wanted, rel=1e-3)


def test_copies_left_out_together_are_no_trouble():
    features, labels = features_and_labels()
    features[30:] = features[:30]
    gram, _ = centred_gram(blocks_of(features), len(labels))
    found = RidgeScreen(gram, np.eye(3)[labels], 1e-6).residuals(np.arange(0, 60, 2))
    assert np.isfinite(found).all()


def test_features_that_are_not_finite_are_an_error():
    gram = np.full((4, 4), np.nan, np.float32)
    with pytest.raises(EngineError, match="not finite"):
        RidgeScreen(gram, np.eye(2)[np.arange(4) % 2], PENALTY)
