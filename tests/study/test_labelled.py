"""Images with several labels are dealt evenly into folds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headfit.errors import DataError
from headfit.study.protocol.splits import make_splits


def draw(seed, images, labels):
    rng = np.random.default_rng(seed)
    values = (rng.random((images, labels)) < rng.uniform(0.1, 0.6, labels)).astype(int)
    values[:12] = np.arange(labels) == np.arange(12)[:, None] % labels  # some of each
    return values


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(80, 200), st.integers(1, 6), st.integers(2, 8))
def test_each_fold_has_its_share_of_every_label(seed, images, labels, folds):
    values = draw(seed, images, labels)
    splits = make_splits(values, folds=folds, repeats=2, seed=seed, fewest=1)
    for assignment in splits.assignment:
        assert set(assignment) == set(range(folds))
        held = np.stack([values[assignment == fold].sum(axis=0) for fold in range(folds)])
        # those dealt first are even to one image; what images with several labels force is little
        assert np.ptp(held, axis=0).max() <= 2 + labels
        sizes = np.bincount(assignment)
        assert np.ptp(sizes) <= 2 + labels


def test_the_rarest_label_is_even_to_one_image():
    values = draw(0, 300, 5)
    rarest = values.sum(axis=0).argmin()
    for assignment in make_splits(values, folds=7, repeats=5, seed=0).assignment:
        assert np.ptp(np.bincount(assignment[values[:, rarest] > 0], minlength=7)) <= 1


def test_it_is_more_even_than_dealing_at_random():
    values, rng = draw(1, 300, 8), np.random.default_rng(0)
    ours = make_splits(values, folds=5, repeats=10, seed=0).assignment
    random = [rng.permutation(300) % 5 for _ in range(10)]
    assert unevenness(values, ours) < 0.3 * unevenness(values, random)


def unevenness(values, assignments):
    held = [[values[each == fold].sum(axis=0) for fold in range(5)] for each in assignments]
    return np.ptp(held, axis=1).mean()


def test_groups_stay_whole():
    values = draw(2, 200, 4)
    groups = np.arange(200) // 3
    for assignment in make_splits(values, folds=5, repeats=3, seed=0, groups=groups).assignment:
        assert all(len(set(assignment[groups == group])) == 1 for group in np.unique(groups))


def test_the_seed_alone_decides_and_more_repeats_change_none():
    values = draw(3, 120, 3)
    some = make_splits(values, folds=5, repeats=2, seed=4).assignment
    more = make_splits(values, folds=5, repeats=4, seed=4).assignment
    np.testing.assert_array_equal(some, more[:2])
    assert (make_splits(values, folds=5, repeats=2, seed=5).assignment != some).any()


def test_a_label_of_too_few_images_is_named():
    values = draw(4, 100, 2)
    values[:, 1] = np.arange(100) < 3
    with pytest.raises(DataError, match="at least 5 images, but label 'sky' has 3"):
        make_splits(values, folds=5, repeats=1, seed=0, names=("sea", "sky"))
