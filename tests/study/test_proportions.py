"""Intervals that count images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest

from headfit.study.comparison.proportions import (
    Hits,
    Z,
    exact_interval,
    paired_interval,
    share_of,
)


@pytest.mark.parametrize(("right", "n"), [(12, 12), (0, 7), (45, 50), (1, 300)])
def test_the_exact_interval_is_that_of_scipy(right, n):
    found = binomtest(right, n).proportion_ci(0.95, "exact")
    assert exact_interval(right / n, n) == pytest.approx((found.low, found.high))


@pytest.mark.parametrize(("ahead", "behind", "n"), [(43, 1, 100), (4, 9, 44), (12, 2, 30)])
def test_the_paired_interval_ends_where_the_score_test_rejects(ahead, behind, n):
    """Tango's z at the ends, with the nuisance probability found by maximising the likelihood."""

    def z(difference):
        def loss(q):  # q: probability that only the second is right
            p, rest = q + difference, 1 - 2 * q - difference
            return -(ahead * np.log(p) + behind * np.log(q) + (n - ahead - behind) * np.log(rest))

        low, high = max(0, -difference) + 1e-9, (1 - difference) / 2 - 1e-9
        q = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
        spread = n * (2 * q + difference * (1 - difference))
        return (ahead - behind - n * difference) / np.sqrt(spread)

    low, high = paired_interval(ahead, behind, n)
    assert (z(low), z(high)) == pytest.approx((Z, -Z), abs=1e-3)


@given(st.floats(0, 40), st.floats(0, 40), st.floats(80, 400))
def test_the_paired_interval_is_a_range_of_differences_and_symmetric(ahead, behind, n):
    low, high = paired_interval(ahead, behind, n)
    assert -1 <= low <= (ahead - behind) / n + 1e-9 and (ahead - behind) / n - 1e-9 <= high <= 1
    assert paired_interval(behind, ahead, n) == pytest.approx((-high, -low))


def test_without_a_discordant_pair_a_point_is_excluded_by_about_400():
    assert paired_interval(0, 0, 300)[1] > 0.01 > paired_interval(0, 0, 400)[1]


def test_the_interval_of_paired_proportions_covers_the_truth():
    rng, covered = np.random.default_rng(0), 0
    sets = 2000
    for _ in range(sets):
        ahead, behind, _ = rng.multinomial(150, [0.05, 0.02, 0.93])
        low, high = paired_interval(ahead, behind, 150)
        covered += low <= 0.03 <= high
    assert covered / sets >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / sets)


def test_the_share_of_single_images_has_the_exact_interval():
    right = np.repeat([1.0, 0.0], [45, 5])
    share = share_of(right)
    assert (share.low, share.high) == exact_interval(0.9, 50)
    assert share == share_of(right, np.arange(50), np.full(50, 3.0))
    assert (share_of(np.ones(12)).low, share_of(np.ones(12)).independent) == (
        exact_interval(1.0, 12)[0],
        12,
    )


@pytest.mark.parametrize("groups", [12, 60])
@pytest.mark.parametrize("alike", [0.0, 0.5, 1.0])
def test_the_interval_of_a_share_covers_the_truth_where_groups_are_alike(groups, alike):
    rng, covered, sets = np.random.default_rng(0), 0, 1000
    members = np.repeat(np.arange(groups), np.arange(groups) % 6 + 1)  # of one to six images
    for _ in range(sets):
        same = rng.random(len(members)) < alike
        right = np.where(same, rng.random(groups)[members], rng.random(len(members))) < 0.85
        share = share_of(right.astype(float), members)
        covered += share.low <= 0.85 <= share.high
    assert covered / sets >= 0.94


def test_groups_count_once_and_a_rare_class_limits():
    labels = np.repeat([0, 1], [300, 15])
    right = np.ones((1, 1, 315), bool)
    alone = Hits.of(right, labels)
    assert alone.independent == pytest.approx(4 / (1 / 300 + 1 / 15))
    assert alone.rarest == 1
    grouped = Hits.of(right, labels, np.r_[np.arange(300) // 10, 300 + np.arange(15)])
    assert grouped.independent == pytest.approx(4 / (1 / 30 + 1 / 15))
    assert grouped.rarest is None
    even = Hits.of(right[:, :, :300], np.arange(300) % 3)
    assert (even.independent, even.rarest) == (pytest.approx(300), None)


def test_a_difference_counts_each_class_alike_and_repeats_as_one():
    labels = np.repeat([0, 1], 50)
    first, second = np.ones((2, 2, 100), bool)
    second[:, :10] = False
    hits = Hits.of(np.stack([first, second]), labels)
    assert hits.difference(0, 1) == pytest.approx(paired_interval(10, 0, 100))
    once = Hits.of(np.stack([first, second])[:, :1], labels)
    assert once.difference(0, 1) == hits.difference(0, 1)
