from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from headfit.fitting.exact import logistic
from headfit.fitting.exact.coordinates import of_features
from headfit.fitting.exact.logistic import EXACT, Path, Point, minimise, origin
from headfit.fitting.softmax import SoftmaxRows, softmax

PENALTIES = (1.0, 1e-2, 1e-4)


def random_problem(n: int, d: int, classes: int, seed: int = 0):
    """Coordinates of overlapping classes, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    centres = rng.normal(size=(classes, d)) * 2 / np.sqrt(d)
    features = centres[labels] + rng.normal(size=(n, d)) * np.exp(rng.normal(size=d) / 2)
    return of_features(features.astype(np.float32)).z.astype(np.float64), labels


def random_masks(problems: int, n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((problems, n)) < 0.7


def points(z, labels, masks, penalties=PENALTIES, classes=None, tolerance=EXACT) -> list[Point]:
    """Where all problems are at each penalty."""
    rows = SoftmaxRows.of(z, labels, classes or int(labels.max()) + 1)
    steps = logistic.EXACT_STEPS if tolerance == EXACT else logistic.MAX_STEPS
    path, everyone = Path(rows, masks, steps), np.arange(len(masks))
    return [path.go(penalty, everyone, tolerance) for penalty in penalties]


def solved(z, labels, masks, penalties=PENALTIES, classes=None, tolerance=EXACT):
    """Probabilities (problems, penalties, n, K), and whether each fit converged."""
    found = points(z, labels, masks, penalties, classes, tolerance)
    return (
        np.stack([softmax(point.logits.transpose(0, 2, 1)) for point in found], axis=1),
        np.stack([point.converged for point in found], axis=1),
    )


def reference(z, labels, mask, penalty) -> np.ndarray:
    """scikit-learn's probabilities; for two classes as a softmax over two columns."""
    # two columns share the penalty of one: each takes half the weight, (λ/2)(2·‖w/2‖²)
    strength = penalty / 2 if labels.max() == 1 else penalty
    model = LogisticRegression(C=1 / (strength * mask.sum()), tol=1e-8, max_iter=5000)
    return model.fit(z[mask], labels[mask]).predict_proba(z)


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize(("n", "d"), [(140, 15), (84, 500)])
def test_probabilities_are_those_of_scikit_learn(n, d, classes):
    z, labels = random_problem(n, d, classes)
    masks = random_masks(3, n)
    found, converged = solved(z, labels, masks)
    assert converged.all()
    for mask, path in zip(masks, found, strict=True):
        for penalty, probabilities in zip(PENALTIES, path, strict=True):
            wanted = reference(z, labels, mask, penalty)
            np.testing.assert_allclose(probabilities, wanted, atol=1e-4)


def test_the_everyday_tolerance_in_float32_is_close_to_exact():
    z, labels = random_problem(140, 300, 5)
    masks, penalties = random_masks(4, 140), [10.0**-power for power in range(9)]
    exact, _ = solved(z, labels, masks, penalties)
    quick, converged = solved(
        z.astype(np.float32), labels, masks, penalties, tolerance=logistic.TOLERANCE
    )
    assert converged.all()
    assert np.abs(quick - exact).max() < 1e-2


def test_real_images_converge_in_float32_at_every_penalty():
    features, labels = load_digits(return_X_y=True)
    z = of_features(features[:500].astype(np.float32)).z.astype(np.float32)
    masks, penalties = random_masks(4, 500), [10.0**-power for power in range(9)]
    found, converged = solved(z, labels[:500], masks, penalties, tolerance=logistic.TOLERANCE)
    assert converged.all()
    exact, _ = solved(z.astype(np.float64), labels[:500], masks, penalties[-1:])
    held = ~masks
    given = [p[:, np.arange(500), labels[:500]][held] for p in (found[:, -1], exact[:, 0])]
    losses = [-np.log(np.maximum(p, 1e-15)).mean() for p in given]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_logits_are_those_of_the_kernel_and_bias():
    z, labels = random_problem(60, 8, 3)
    for point in points(z, labels, random_masks(2, 60)):
        kernel, bias = point.weights[..., :-1], point.weights[..., -1:]
        logits = np.einsum("bkr,nr->bkn", kernel, z) + bias
        np.testing.assert_allclose(point.logits, logits, atol=1e-10)


@pytest.mark.parametrize("together", [1, 2, 100])
def test_a_problem_does_not_depend_on_its_company(monkeypatch, together):
    z, labels = random_problem(90, 10, 3)
    masks = random_masks(5, 90)
    alone = [solved(z, labels, mask[None])[0] for mask in masks]
    monkeypatch.setattr(logistic, "CACHE_BYTES", 0)
    monkeypatch.setattr(logistic, "LEAST_ROWS", 3 * together)
    found, _ = solved(z, labels, masks)
    np.testing.assert_allclose(found, np.concatenate(alone), atol=1e-9)


def test_rows_that_are_masked_leave_no_trace():
    z, labels = random_problem(90, 10, 3)
    masks = random_masks(2, 90)
    masks[1] = masks[0]
    changed, other = z.copy(), labels.copy()
    other[~masks[0]] = 0
    changed[~masks[0]] *= -1
    kernels = [
        [point.weights for point in points(x, y, masks, classes=3)]
        for x, y in ((z, labels), (z, other), (changed, labels))
    ]
    for kernel, same, also in zip(*kernels, strict=True):
        np.testing.assert_array_equal(kernel, same)
        np.testing.assert_allclose(kernel, also, atol=1e-12)
        np.testing.assert_allclose(kernel[0], kernel[1], atol=1e-12)


def test_where_a_problem_starts_does_not_matter():
    z, labels = random_problem(90, 10, 3)
    masks = random_masks(2, 90)
    *_, wanted = points(z, labels, masks)
    rows, penalties = SoftmaxRows.of(z, labels, 3), np.full(2, PENALTIES[-1])
    zero = origin(rows, 2)
    weights = np.random.default_rng(0).normal(size=zero.weights.shape)
    far = Point(weights, rows.logits(weights), zero.converged)
    for starts in ([zero], [far], [far, zero]):
        found = minimise(rows, masks, penalties, starts, EXACT, logistic.EXACT_STEPS)
        np.testing.assert_allclose(
            softmax(found.logits.transpose(0, 2, 1)),
            softmax(wanted.logits.transpose(0, 2, 1)),
            atol=1e-4,
        )


def test_problems_of_different_penalties_are_solved_together():
    z, labels = random_problem(90, 10, 3)
    masks = np.repeat(random_masks(1, 90), 2, axis=0)
    rows = SoftmaxRows.of(z, labels, 3)
    found = minimise(rows, masks, np.array([1.0, 1e-2]), [origin(rows, 2)], EXACT, 1000)
    for logits, point in zip(found.logits, points(z, labels, masks), strict=False):
        np.testing.assert_allclose(softmax(logits.T), softmax(point.logits[0].T), atol=1e-4)


def test_some_problems_may_go_on_alone():
    z, labels = random_problem(90, 10, 3)
    masks = random_masks(3, 90)
    *_, wanted = points(z, labels, masks)
    path = Path(SoftmaxRows.of(z, labels, 3), masks, logistic.EXACT_STEPS)
    for penalty, which in zip(PENALTIES, ([0, 1, 2], [0, 2], [2]), strict=True):
        found = path.go(penalty, np.array(which), EXACT)
    np.testing.assert_allclose(found.logits, wanted.logits[2:], atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_separable_classes_are_no_trouble_at_a_tiny_penalty(dtype):
    labels = np.arange(60) % 3
    features = 5 * np.eye(3)[labels] + np.random.default_rng(0).normal(size=(60, 3)) / 10
    z = of_features(features.astype(np.float32)).z.astype(dtype)
    penalties = [10.0**-power for power in range(9)]
    found, converged = solved(
        z, labels, np.ones((2, 60), bool), penalties, tolerance=logistic.TOLERANCE
    )
    assert converged.all() and np.isfinite(found).all()
    assert found[0, -1, np.arange(60), labels].min() > 0.999


@pytest.mark.parametrize("tolerance", [logistic.TOLERANCE, EXACT])
def test_a_class_without_training_rows_becomes_improbable(tolerance):
    z, labels = random_problem(90, 10, 3)
    masks = random_masks(2, 90)
    masks[0] &= labels != 1
    found, converged = solved(z, labels, masks, tolerance=tolerance)
    assert converged.all() and np.isfinite(found).all()
    assert found[0, ..., 1].max() < 1e-3
    wanted = reference(z, labels // 2, masks[0], PENALTIES[1])
    np.testing.assert_allclose(found[0, 1][:, [0, 2]], wanted, atol=1e-2)


def test_one_class_alone_is_certain():
    z, _ = random_problem(20, 4, 2)
    found, converged = solved(z, np.zeros(20, int), np.ones((1, 20), bool), classes=2)
    assert converged.all() and (found[..., 0] > 1 - 1e-6).all()


def test_without_features_the_shares_of_the_classes_are_the_answer():
    labels = np.array([0, 0, 0, 1, 2, 2])
    found, _ = solved(np.zeros((6, 0)), labels, np.ones((1, 6), bool))
    np.testing.assert_allclose(found[0, 0, 0], [1 / 2, 1 / 6, 1 / 3], atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(6, 40),
    d=st.integers(1, 50),
    classes=st.integers(2, 5),
    power=st.floats(-6, 1),
    noise=st.floats(0.01, 10),
    seed=st.integers(0, 2**16),
)
def test_the_gradient_vanishes_at_the_solution(n, d, classes, power, noise, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    features = np.eye(classes)[labels] @ rng.normal(size=(classes, d))
    features += noise * rng.normal(size=(n, d))
    z = of_features(features.astype(np.float32)).z
    mask = rng.random(n) < 0.7
    mask[0] = True
    penalty = 10.0**power
    z = z.astype(np.float64)
    (point,) = points(z, labels, mask[None], [penalty], classes)
    kernel, bias = point.weights[0, :, :-1], point.weights[0, :, -1]

    def objective(kernel, bias) -> float:
        logs = log_softmax(z[mask] @ kernel.T + bias, axis=1)
        given = logs[np.arange(mask.sum()), labels[mask]]
        return -given.mean() + penalty / 2 * (kernel**2).sum()

    assert point.converged.all()
    errors = (softmax(z @ kernel.T + bias) - np.eye(classes)[labels])[mask] / mask.sum()
    # the tolerance is on the gradient divided by the root of the curvature, 1 + penalty at most
    bound = EXACT * np.sqrt(1 + penalty)
    np.testing.assert_allclose(errors.T @ z[mask], -penalty * kernel, atol=bound)
    np.testing.assert_allclose(errors.sum(axis=0), 0, atol=bound)
    # the same without a formula for the gradient: no step in any direction helps
    for _ in range(5):
        by, shift = rng.normal(size=kernel.shape), rng.normal(size=bias.shape)
        for size in (1e-3, -1e-3):
            assert objective(kernel + size * by, bias + size * shift) >= (
                objective(kernel, bias) - 1e-9
            )


def test_nothing_is_said_about_infinities_on_the_way():
    z, labels = random_problem(60, 100, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solved(1e3 * z.astype(np.float32), labels, random_masks(2, 60), [1e-8])


def test_softmax_takes_any_logits():
    logits = np.array([[1e4, 0.0, -1e4], [2.0, 2.0, 2.0]], np.float32)
    found = softmax(logits)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[1, 0, 0], [1 / 3] * 3], atol=1e-6)
