import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from headfit.errors import DataError, UsageError
from headfit.fitting.problem import inner_pairs
from headfit.study.protocol.splits import make_splits

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


@st.composite
def grouped(draw, pure: bool = False):
    """Labels, groups and a number of folds that they can be dealt into."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    folds, classes = draw(st.integers(2, 6)), draw(st.integers(2, 4))
    groups = []
    for code in range(classes):
        sizes = rng.geometric(draw(st.sampled_from([0.2, 0.5, 0.9])), folds + rng.integers(0, 30))
        groups += [np.full(size, code) for size in sizes]
    numbers = np.arange(len(groups)).repeat([len(group) for group in groups])
    labels = np.concatenate(groups)
    if not pure:  # a few groups have images of other classes
        strangers = rng.random(len(labels)) < 0.05
        labels = np.where(strangers, rng.integers(0, classes, len(labels)), labels)
    order = rng.permutation(len(labels))
    labels, numbers = labels[order], rng.permutation(len(groups))[numbers][order]
    enough = [len(np.unique(numbers[labels == code])) >= folds for code in range(classes)]
    assume(all(enough))
    return labels, numbers, folds


def spread(labels, repeat, folds) -> np.ndarray:
    """How evenly each class is dealt: the standard deviation of its shares, (K,)."""
    counts = np.array([np.bincount(labels[repeat == f], minlength=4) for f in range(folds)])
    return (counts / np.maximum(counts.sum(axis=0), 1)).std(axis=0)


@settings(deadline=None, max_examples=60)
@given(grouped(), st.integers(0, 100))
def test_no_group_is_torn_and_every_fold_can_be_learnt_and_tested(case, seed):
    labels, groups, folds = case
    splits = make_splits(labels, folds=folds, repeats=2, seed=seed, groups=groups)
    for r, repeat in enumerate(splits.assignment):
        pairs = np.unique(np.stack([groups, repeat]), axis=1)
        assert len(pairs[0]) == len(np.unique(groups))
        for fold in range(folds):
            train, test = splits.indices(r, fold)
            assert len(test)
            assert set(labels[train]) == set(labels)


@settings(deadline=None, max_examples=60)
@given(grouped(pure=True), st.integers(0, 100))
def test_groups_within_a_class_are_dealt_as_evenly_as_their_sizes_allow(case, seed):
    labels, groups, folds = case
    (repeat,) = make_splits(labels, folds=folds, repeats=1, seed=seed, groups=groups).assignment
    for code in np.unique(labels):
        sizes = np.unique(groups[labels == code], return_counts=True)[1]
        counts = np.bincount(repeat[labels == code], minlength=folds)
        assert counts.min() > 0
        assert np.ptp(counts) <= sizes.max()
        # enough single images fill up whatever the groups left uneven
        several = sizes[sizes > 1]
        if (sizes == 1).sum() >= folds * several.max(initial=0):
            assert np.ptp(counts) <= 1


def of_scikit_learn(labels, groups, folds, seed) -> np.ndarray:
    dealer = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    repeat = np.full(len(labels), -1)
    for fold, (_, test) in enumerate(dealer.split(labels, labels, groups)):
        repeat[test] = fold
    return repeat


@settings(deadline=None, max_examples=25)
@given(grouped(pure=True), st.integers(0, 100))
def test_groups_within_a_class_are_dealt_at_least_as_evenly_as_scikit_learn_does(case, seed):
    labels, groups, folds = case
    (repeat,) = make_splits(labels, folds=folds, repeats=1, seed=seed, groups=groups).assignment
    theirs = spread(labels, of_scikit_learn(labels, groups, folds, seed), folds)
    assert (spread(labels, repeat, folds) <= theirs + 1e-12).all()


def test_groups_of_several_classes_are_dealt_more_evenly_than_scikit_learn_does_on_the_whole():
    ours, theirs = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n, folds = int(rng.integers(60, 200)), int(rng.integers(2, 6))
        labels, groups = rng.integers(0, 3, n), rng.integers(0, n // 3, n)
        (repeat,) = make_splits(labels, folds=folds, repeats=1, seed=0, groups=groups).assignment
        ours.append(spread(labels, repeat, folds).mean())
        theirs.append(spread(labels, of_scikit_learn(labels, groups, folds, 0), folds).mean())
    assert np.mean(ours) < 0.8 * np.mean(theirs)
    assert np.mean(np.array(ours) <= np.array(theirs)) > 0.8


def test_groups_of_one_image_are_no_groups():
    groups = np.random.default_rng(0).permutation(len(LABELS))
    plain = make_splits(LABELS, folds=5, repeats=2, seed=3)
    found = make_splits(LABELS, folds=5, repeats=2, seed=3, groups=groups)
    np.testing.assert_array_equal(found.assignment, plain.assignment)


def test_more_repeats_keep_the_first_ones_and_deal_groups_anew():
    groups = np.arange(len(LABELS)) // 2
    few = make_splits(LABELS, folds=5, repeats=2, seed=0, groups=groups).assignment
    many = make_splits(LABELS, folds=5, repeats=4, seed=0, groups=groups).assignment
    np.testing.assert_array_equal(few, many[:2])
    assert len({repeat.tobytes() for repeat in many}) == 4


def test_the_numbers_of_groups_are_only_names():
    groups = np.arange(len(LABELS)) // 3
    plain = make_splits(LABELS, folds=3, repeats=2, seed=0, groups=groups)
    renamed = make_splits(LABELS, folds=3, repeats=2, seed=0, groups=10 * groups - 55)
    np.testing.assert_array_equal(plain.assignment, renamed.assignment)


def test_groups_that_must_not_be_dealt_the_largest_first_are_dealt_otherwise():
    # the largest first puts groups 3 and 1, and with them class 0, into one fold
    labels = np.array([0, 0, 1, 2, 2, 0, 1, 0, 0])
    groups = np.array([3, 1, 2, 2, 1, 3, 0, 3, 3])
    splits = make_splits(labels, folds=2, repeats=5, seed=0, groups=groups)
    assert all(repeat[0] != repeat[1] for repeat in splits.assignment)


def test_groups_that_cannot_be_dealt_are_refused_with_the_remedy():
    # every two of the three groups share a class, and two of them must share a fold
    labels, groups = np.array([0, 1, 1, 2, 2, 0]), np.arange(3).repeat(2)
    with pytest.raises(DataError, match="without training images: use smaller groups, or add im"):
        make_splits(labels, folds=2, repeats=1, seed=0, groups=groups)


def test_two_large_groups_that_share_a_rare_class_are_dealt_apart():
    labels = np.array([0] * 20 + [1] * 2 + [0] * 2)
    groups = np.array([0] * 10 + [1] * 10 + [0, 1, 2, 3])
    splits = make_splits(labels, folds=2, repeats=3, seed=0, groups=groups)
    assert all(repeat[0] != repeat[10] for repeat in splits.assignment)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"folds": 1}, "`folds` must be an integer of at least 2. Received: folds=1"),
        ({"repeats": 0}, "`repeats` must be an integer of at least 1. Received: repeats=0"),
        ({"seed": -1}, "`seed` must be an integer of at least 0. Received: seed=-1"),
    ],
)
def test_impossible_numbers_are_refused(change, message):
    with pytest.raises(UsageError, match=message):
        make_splits(LABELS, **({"folds": 5, "repeats": 1, "seed": 0} | change))


@pytest.mark.parametrize(
    ("labels", "groups", "message"),
    [
        (
            [0] * 9 + [1] * 3,
            None,
            "at least 5 images, but class 1 has 3: add images, or set `folds=3`",
        ),
        ([0] * 9 + [1], None, "class 1 has 1: add images.$"),
        ([0] * 9, None, "All images are of one class"),
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
