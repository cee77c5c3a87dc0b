"""Standings of backbones: intervals that hold, and no winner by luck."""

from __future__ import annotations

import numpy as np
import pytest

from headfit.fitting.metrics import accuracy, balanced_accuracy
from headfit.study.comparison.proportions import exact_interval, paired_interval
from headfit.study.ranking.standings import standings


def all_but(labels: np.ndarray, wrong: list[np.ndarray]) -> np.ndarray:
    """Hit all images but those listed."""
    hits = np.ones((len(wrong), len(labels)))
    for row, which in zip(hits, wrong, strict=True):
        row[which] = 0
    return hits


def some_hits(labels: np.ndarray, rates: list[float], rng: np.random.Generator) -> np.ndarray:
    """Hit at these rates, images being easy or hard for all alike."""
    ease = rng.random(len(labels))
    own = rng.random((len(rates), len(labels)))
    return (0.5 * ease + 0.5 * own) < _quantile(np.array(rates))[:, None]


def _quantile(rates: np.ndarray) -> np.ndarray:
    """The inverse of the distribution of the mean of two uniform numbers."""
    return np.where(rates < 0.5, np.sqrt(rates / 2), 1 - np.sqrt((1 - rates) / 2))


def test_scores_are_those_of_the_metrics() -> None:
    labels = np.repeat([0, 1, 2], [50, 20, 7])
    rng = np.random.default_rng(0)
    predicted = rng.integers(0, 3, (2, len(labels)))
    for row, found in zip(predicted, standings(labels, predicted == labels), strict=True):
        one_hot = np.eye(3)[row]
        assert found.balanced_accuracy[0] == pytest.approx(balanced_accuracy(one_hot, labels))
        assert found.accuracy[0] == pytest.approx(accuracy(one_hot, labels))
        for mean, low, high in (found.balanced_accuracy, found.accuracy):
            assert 0 <= low < mean < high <= 1


def test_intervals_are_never_narrower_than_exact_ones() -> None:
    labels = np.arange(50) % 2
    found = standings(labels, all_but(labels, [np.arange(0), np.arange(10)]))
    assert found[0].accuracy == pytest.approx((1.0, 0.92889, 1.0), abs=1e-4)
    for each in found:
        low, high = exact_interval(each.accuracy[0], 50)
        assert each.accuracy[1] <= low + 1e-9 and each.accuracy[2] >= high - 1e-9
    # nothing tells them apart, and little is shown by that
    twice = standings(labels, np.ones((2, 50)))[1].difference
    assert twice[1:] == pytest.approx(paired_interval(0, 0, 50))
    # copies of 10 images, all right, show as much as 10 images
    (copies,) = standings(labels, np.ones((1, 50)), groups=np.arange(50) % 10)
    assert copies.accuracy[1:] == pytest.approx(exact_interval(1.0, 10))


@pytest.mark.parametrize(("against", "within"), [(0, True), (4, True), (6, False)])
def test_few_images_make_no_difference(against: int, within: bool) -> None:
    labels = np.arange(100) % 2
    best, other = standings(labels, all_but(labels, [np.arange(0), np.arange(against)]))
    assert best.difference == (0.0, 0.0, 0.0)
    assert best.within_noise
    assert other.difference[0] == pytest.approx(-against / 100)
    assert other.within_noise is within
    assert other.difference[1] < other.difference[0] < other.difference[2]


def test_copies_are_one_witness() -> None:
    labels = np.arange(40) % 2
    wrong = [np.arange(0), np.arange(4)]
    once = standings(labels, all_but(labels, wrong))[1]
    copied = [np.repeat(row, 5) for row in all_but(labels, wrong)]
    many = np.repeat(labels, 5)
    groups = np.repeat(np.arange(40), 5)
    fair = standings(many, np.stack(copied), groups=groups)[1]
    naive = standings(many, np.stack(copied))[1]
    assert fair.difference == pytest.approx(once.difference, abs=0.005)
    assert fair.accuracy == pytest.approx(once.accuracy, abs=0.02)
    assert fair.within_noise
    assert not naive.within_noise


def test_same_seed_same_standings() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    hits = some_hits(labels, [0.8, 0.7, 0.6], rng)
    assert standings(labels, hits, seed=3) == standings(labels, hits, seed=3)
    assert standings(labels, hits, seed=3) != standings(labels, hits, seed=4)


@pytest.mark.parametrize(("count", "rate"), [(2, 0.9), (5, 0.7)])
def test_equal_backbones_are_seldom_held_to_differ(count: int, rate: float) -> None:
    rng = np.random.default_rng(count)
    labels = np.arange(200) % 4
    rejected, runs = 0, 300
    for run in range(runs):
        found = standings(labels, some_hits(labels, [rate] * count, rng), seed=run)
        rejected += not all(each.within_noise for each in found)
    assert rejected / runs <= 0.08  # 0.05, and 2.4 standard errors of this simulation


def test_intervals_hold_the_truth() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], [100, 40, 20])
    held, runs = np.zeros(2), 300
    for run in range(runs):
        better, worse = standings(labels, some_hits(labels, [0.95, 0.6], rng), seed=run)
        intervals = (better.balanced_accuracy, 0.95), (worse.difference, -0.35)
        held += [low <= truth <= high for (_, low, high), truth in intervals]
        assert not worse.within_noise
    assert (held / runs >= 0.92).all()


def test_even_guesses_have_the_interval_of_as_many_tosses() -> None:
    labels = np.arange(50) % 2
    (found,) = standings(labels, np.full((1, 50), 0.5))
    assert found.accuracy == pytest.approx((0.5, *exact_interval(0.5, 50)))


GROUPS = {
    "tens": np.arange(400) // 10,
    "one huge": np.maximum(np.arange(600) - 59, 0),
    "a few": np.arange(300) // 20,
}


@pytest.mark.parametrize("alike", [0.0, 1.0])
@pytest.mark.parametrize("kind", GROUPS)
def test_equal_backbones_differ_seldom_whatever_the_groups(kind: str, alike: float) -> None:
    """Images of a group are right together in a share ``alike`` of groups, else each by itself."""
    groups, runs = GROUPS[kind], 150
    rng = np.random.default_rng([len(groups), int(alike)])
    labels = np.arange(len(groups)) % 2 if kind == "one huge" else groups % 2
    rejected = covered = 0
    for _ in range(runs):
        together = rng.random(groups.max() + 1) < alike
        each = rng.random((2, len(groups)))
        group = rng.random((2, groups.max() + 1))
        hits = np.where(together[groups], group[:, groups], each) < 0.9
        found = standings(labels, hits, groups=groups)
        rejected += not all(one.within_noise for one in found)
        covered += found[0].accuracy[1] <= 0.9 <= found[0].accuracy[2]
    assert rejected / runs <= 0.058 + 2 * np.sqrt(0.05 * 0.95 / runs)
    assert covered / runs >= 0.95 - 2 * np.sqrt(0.05 * 0.95 / runs)


def test_a_group_of_copies_does_not_hide_what_the_other_images_show() -> None:
    """A group of 160 among 2,624 costs next to nothing where both are right of all of it."""
    groups, labels = np.maximum(np.arange(2624) - 159, 0), np.arange(2624) % 2
    wrong = [np.arange(1000, 1030), np.arange(1000, 1044)]
    hits = all_but(labels, wrong)
    alone, grouped = (standings(labels, hits, groups=g)[1] for g in (None, groups))
    assert not alone.within_noise
    assert not grouped.within_noise
    widths = [one.accuracy[2] - one.accuracy[1] for one in (alone, grouped)]
    assert widths[1] < 1.1 * widths[0]
