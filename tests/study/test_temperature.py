from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from headfit.fitting.metrics import log_loss
from headfit.study.reliability.calibration import HIGHEST, LOWEST, calibrate, fit_temperature, scale


def draw(seed: int, n: int, classes: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw labels from true probabilities; give those sharpened, so that T makes them true."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, classes))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (true.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return scale(true, 1 / temperature), labels


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_a_known_temperature_is_recovered(temperature: float) -> None:
    p, labels = draw(0, 20_000, 5, temperature)
    assert fit_temperature(p, labels) == pytest.approx(temperature, rel=0.03)


@pytest.mark.parametrize("seed", range(5))
def test_the_minimum_is_that_of_a_general_search(seed: int) -> None:
    p, labels = draw(seed, 300, 3 + seed, 0.5 + seed / 2)
    search = minimize_scalar(
        lambda t: log_loss(scale(p, np.exp(t)), labels), bounds=(-3, 3), method="bounded"
    )
    found = log_loss(scale(p, fit_temperature(p, labels)), labels)
    assert found <= search.fun + 1e-9


def test_calibration_improves_what_was_too_sure() -> None:
    p, labels = draw(1, 3000, 4, 3.0)
    folds = np.arange(3000)[None] % 5
    found = calibrate(p[None], labels, folds)
    assert found.value == pytest.approx(3, rel=0.1)
    assert found.ece_after < found.ece_before / 4
    assert found.log_loss_after < found.log_loss_before - 0.1
    assert found.log_loss_before == pytest.approx(log_loss(p, labels))


def test_the_temperature_of_a_fold_does_not_know_its_labels() -> None:
    """Labels that are all wrong in one fold show what a temperature that knew them would do."""
    p, labels = draw(2, 600, 4, 2.0)
    folds = np.arange(600)[None] % 3
    held = folds[0] == 0
    spoilt = np.where(held, (labels + 1) % 4, labels)
    expected = np.empty_like(p)
    for fold in range(3):
        here = folds[0] == fold
        expected[here] = scale(p[here], fit_temperature(p[~here], spoilt[~here]))
    leaking = scale(p, fit_temperature(p, spoilt))
    found = calibrate(p[None], spoilt, folds)
    assert found.log_loss_after == pytest.approx(log_loss(expected, spoilt), abs=1e-8)
    assert found.log_loss_after > log_loss(leaking, spoilt) + 0.1


def test_repeats_are_averaged_and_not_mixed() -> None:
    (p, labels), (q, _) = draw(3, 400, 3, 2.0), draw(4, 400, 3, 1.0)
    folds = np.stack([np.arange(400) % 4, np.arange(400) // 100])
    both = calibrate(np.stack([p, q]), labels, folds)
    one, two = (calibrate(v[None], labels, f[None]) for v, f in ((p, folds[0]), (q, folds[1])))
    assert both.ece_after == pytest.approx((one.ece_after + two.ece_after) / 2, abs=1e-6)
    assert both.log_loss_before == pytest.approx((log_loss(p, labels) + log_loss(q, labels)) / 2)
    assert both.log_loss_after == pytest.approx((one.log_loss_after + two.log_loss_after) / 2)


def test_heads_without_fault_or_knowledge_stay_within_bounds() -> None:
    labels = np.array([0, 1, 2, 0])
    sure, right = np.eye(3)[labels], np.eye(3)[labels] * 0.6 + 0.4 / 3
    assert fit_temperature(sure, labels) == 1
    assert LOWEST <= fit_temperature(right, labels) < 0.06
    assert fit_temperature(np.eye(3)[(labels + 1) % 3], labels) == pytest.approx(HIGHEST, rel=1e-3)
    assert fit_temperature(np.full((4, 3), 1 / 3), labels) == 1


def test_scaling_keeps_the_order_of_classes_and_sums_to_one() -> None:
    p, _ = draw(5, 50, 6, 1.0)
    p[0] = [1, 0, 0, 0, 0, 0]
    for temperature in (0.05, 0.7, 20):
        scaled = scale(p, temperature)
        np.testing.assert_allclose(scaled.sum(axis=1), 1)
        np.testing.assert_array_equal(scaled.argmax(axis=1), p.argmax(axis=1))
