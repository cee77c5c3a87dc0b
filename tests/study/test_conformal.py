from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from headfit.study.reliability.conformal import conform, prediction_sets, quantile


def draw(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """A weak head: sets of several classes, none of them empty."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1, (n, 6))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return p, (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)


def coverage(threshold: float, p: np.ndarray, labels: np.ndarray) -> int:
    return int(prediction_sets(p, threshold)[np.arange(len(p)), labels].sum())


def test_the_quantile_is_the_order_statistic_of_the_definition() -> None:
    scores = np.array([0.5, 0.1, 0.9, 0.3, 0.7, 0.2, 0.8, 0.4, 0.6])
    assert quantile(scores, 0.9) == 0.9  # ⌈10 · 0.9⌉ = 9th of 9
    assert quantile(scores, 0.5) == 0.5
    assert quantile(scores[:8], 0.9) == 1  # ⌈9 · 0.9⌉ = 9th of 8: there is none
    assert quantile(np.arange(19) / 19, 0.9) == 17 / 19  # ⌈20 · 0.9⌉ = 18th


def test_coverage_is_within_its_binomial_bounds_and_a_wrong_quantile_is_not() -> None:
    p, labels = draw(0, 40_000)
    rows = np.arange(2000)
    scores = 1 - p[:2000][rows, labels[:2000]]
    low, high = binom.ppf([0.001, 0.999], 2000, 0.9) / 2000
    fresh, truth = p[2000:], labels[2000:]
    covered = coverage(quantile(scores, 0.9), fresh, truth) / len(fresh)
    # given 2,000 scores the coverage is Beta distributed, about as wide as that binomial
    assert low <= covered <= high
    assert not low <= coverage(quantile(scores, 0.87), fresh, truth) / len(fresh) <= high
    assert not low <= coverage(quantile(scores, 0.93), fresh, truth) / len(fresh) <= high


def test_few_images_are_covered_as_promised_on_average() -> None:
    """⌈(n + 1) · level⌉ and not ⌈n · level⌉: with 12 scores that is 12/13, and not 11/13."""
    covered = []
    for seed in range(400):
        p, labels = draw(seed, 112)
        scores = 1 - p[:12][np.arange(12), labels[:12]]
        covered.append(coverage(quantile(scores, 0.9), p[12:], labels[12:]) / 100)
    assert np.mean(covered) == pytest.approx(12 / 13, abs=3 * np.std(covered) / 20)


def test_cross_fitted_coverage_and_size() -> None:
    p, labels = draw(1, 3000)
    folds = np.arange(3000)[None] % 10
    found = conform(p[None], labels, folds)
    low, high = binom.ppf([0.001, 0.999], 3000, 0.9) / 3000
    assert low <= found.coverage <= high
    assert found.quantile == quantile(1 - p[np.arange(3000), labels])
    sets = prediction_sets(p, found.quantile)
    assert found.mean_size == pytest.approx(sets.sum() / 3000, rel=0.02)
    assert found.level == 0.9


def test_the_threshold_of_a_fold_does_not_know_its_labels() -> None:
    p, labels = draw(2, 40)
    folds = np.arange(40)[None] % 2
    # fold 1 is told only classes that it finds least probable: its own scores would take them in
    labels = np.where(folds[0] == 1, p.argmin(axis=1), p.argmax(axis=1))
    assert conform(p[None], labels, folds).coverage < 0.75


def test_images_count_by_weight() -> None:
    scores, weights = np.arange(30) / 30, np.tile([1.0, 3.0, 2.0], 10)
    copies = np.repeat(scores, weights.astype(int))
    # the next image counts twice, as the mean of these does
    assert quantile(scores, 0.8, weights) == quantile(np.append(copies, 2), 0.8)
    assert quantile(scores, 0.8, np.full(30, 7.0)) == quantile(scores, 0.8)


def test_the_interval_of_the_coverage_holds_the_coverage_of_the_model_where_groups_are_few() -> (
    None
):
    rng, sets, held = np.random.default_rng(0), 400, 0
    for _ in range(sets):
        p, _ = draw(int(rng.integers(1 << 30)), 200)
        groups = np.arange(200) // 10  # 20 groups, whose images get alike labels
        p = p[groups * 10]
        strange = rng.random(20)[groups] * 0.7 + rng.random(200) * 0.3
        labels = (p.cumsum(axis=1)[:, :-1] <= strange[:, None]).sum(axis=1)
        found = conform(p[None], labels, groups[None] % 5, groups)
        # what an image of a new group would be: the mean over its draws
        fresh, _ = draw(int(rng.integers(1 << 30)), 2000)
        new = rng.random(2000) * 0.7 + rng.random(2000) * 0.3
        truth = (fresh.cumsum(axis=1)[:, :-1] <= new[:, None]).sum(axis=1)
        covered = coverage(found.quantile, fresh, truth) / 2000
        held += found.coverage_low <= covered <= found.coverage_high
    assert held / sets >= 0.94


def test_with_too_few_images_a_set_is_all_classes() -> None:
    p, labels = draw(3, 6)
    found = conform(p[None], labels, np.arange(6)[None] % 3)
    assert (found.quantile, found.coverage, found.mean_size) == (1, 1, 6)


def test_no_set_is_empty() -> None:
    p = np.array([[0.4, 0.35, 0.25], [0.95, 0.03, 0.02]])
    assert prediction_sets(p, 0.1).tolist() == [[True, False, False]] * 2
