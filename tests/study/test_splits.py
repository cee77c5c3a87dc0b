import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold

from headfit.errors import DataError, UsageError
from headfit.study.splits import inner_pairs, make_splits

LABELS = np.repeat([0, 1, 2], [40, 23, 11])


def per_fold(labels, repeat, folds):
    return np.array([np.bincount(labels[repeat == f], minlength=3) for f in range(folds)])


def test_the_same_seed_gives_the_same_folds_whatever_else_happened():
    first = make_splits(LABELS, folds=5, repeats=3, seed=7)
    np.random.seed(1)
    again = make_splits(LABELS, folds=5, repeats=3, seed=7)
    np.testing.assert_array_equal(first.assignment, again.assignment)


def test_another_seed_and_another_repeat_give_other_folds():
    a = make_splits(LABELS, folds=5, repeats=2, seed=7).assignment
    b = make_splits(LABELS, folds=5, repeats=2, seed=8).assignment
    assert (a[0] != a[1]).any()
    assert (a != b).any()


def test_more_repeats_keep_the_first_ones():
    few = make_splits(LABELS, folds=5, repeats=2, seed=0).assignment
    many = make_splits(LABELS, folds=5, repeats=4, seed=0).assignment
    np.testing.assert_array_equal(few, many[:2])


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.integers(5, 30), min_size=2, max_size=4), st.integers(2, 5), st.integers(0, 1000)
)
def test_every_image_is_held_out_once_a_repeat_and_classes_are_spread_evenly(sizes, folds, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    splits = make_splits(labels, folds=folds, repeats=2, seed=seed)
    assert splits.assignment.shape == (2, len(labels))
    for r, repeat in enumerate(splits.assignment):
        held_out = np.concatenate([splits.indices(r, f)[1] for f in range(folds)])
        assert sorted(held_out) == list(range(len(labels)))
        assert np.ptp(per_fold(labels, repeat, folds), axis=0).max() <= 1


def test_training_and_test_part_share_no_image():
    train, test = make_splits(LABELS, folds=5, repeats=1, seed=0).indices(0, 3)
    assert sorted([*train, *test]) == list(range(len(LABELS)))


def test_a_group_is_never_torn_apart():
    groups = np.arange(len(LABELS)) // 2
    splits = make_splits(LABELS, folds=3, repeats=2, seed=0, groups=groups)
    for repeat in splits.assignment:
        assert all(len(set(repeat[groups == g])) == 1 for g in groups)
        assert per_fold(LABELS, repeat, 3).min() > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"folds": 1}, "folds must be at least 2, received 1"),
        ({"repeats": 0}, "repeats must be at least 1, received 0"),
        ({"seed": -1}, "seed must be at least 0, received -1"),
    ],
)
def test_impossible_numbers_are_refused(change, message):
    with pytest.raises(UsageError, match=message):
        make_splits(LABELS, **({"folds": 5, "repeats": 1, "seed": 0} | change))


@pytest.mark.parametrize(
    ("labels", "groups", "message"),
    [
        ([0] * 9 + [1] * 3, None, "at least 5 images, but class 1 has 3: add images or use 3 f"),
        ([0] * 9 + [1], None, "class 1 has 1: add images.$"),
        ([0] * 9, None, "Found 1 class"),
        ([0] * 9 + [1] * 9, [*range(9)] + [9, 10] * 4 + [9], "groups of images, but class 1 has 2"),
    ],
)
def test_images_that_cannot_be_dealt_are_refused_with_the_remedy(labels, groups, message):
    with pytest.raises(DataError, match=message):
        make_splits(
            np.array(labels),
            folds=5,
            repeats=1,
            seed=0,
            groups=None if groups is None else np.array(groups),
        )


@pytest.mark.parametrize("folds", [2, 3, 5, 6, 7, 8, 10, 11, 20])
def test_every_fold_has_as_many_inner_folds(folds):
    pairs = inner_pairs(folds)
    assert len(set(pairs)) == len(pairs)
    assert all(0 <= i < j < folds for i, j in pairs)
    counts = np.bincount(np.ravel(pairs).astype(int), minlength=folds)
    wanted = 0 if folds == 2 else folds - 1 if folds <= 6 else 3 if folds % 2 == 0 else 4
    assert counts.tolist() == [wanted] * folds


@pytest.mark.parametrize("folds", [2, 5, 10])
def test_folds_are_those_of_scikit_learn(folds):
    rng = np.random.default_rng(folds)
    labels = np.concatenate([rng.integers(0, 4, 83), np.arange(4).repeat(folds)])
    rng.shuffle(labels)
    splits = make_splits(labels, folds=folds, repeats=3, seed=5)
    for repeat in range(3):
        state = int(np.random.SeedSequence([5, repeat]).generate_state(1)[0])
        reference = StratifiedKFold(folds, shuffle=True, random_state=state)
        for fold, (train, test) in enumerate(reference.split(labels, labels)):
            np.testing.assert_array_equal(splits.indices(repeat, fold)[0], train)
            np.testing.assert_array_equal(splits.indices(repeat, fold)[1], test)
