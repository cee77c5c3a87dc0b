"""Which image is held out when: repeated stratified folds, as indices only.

Every head sees the same folds, so differences between heads are paired.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from headfit.errors import DataError, UsageError
from headfit.fitting.problem import Splits
from headfit.images.per_class import FEWEST_FOLDS
from headfit.study.protocol.grouped import Grouped
from headfit.study.protocol.labelled import deal_labels

Ints = npt.NDArray[np.integer]


def make_splits(
    strata: Ints,
    *,
    folds: int,
    repeats: int,
    seed: int,
    groups: Ints | None = None,
    fewest: int | None = None,
    names: Sequence[str] = (),
    required: bool = True,
) -> Splits:
    """Deal n images into stratified folds, several times over.

    Asking for more repeats does not change the first ones. Groups of one image each are dealt like
    images without groups.

    Args:
        strata: what each fold gets its share of: the class or quantile of each image, int (n,), or
            its labels, int (n, K), 0 or 1.
        folds: folds in a repeat, at least 2.
        repeats: at least 1.
        seed: at least 0. It alone decides the folds; no global random state is read or changed.
        groups: int (n,), equal for images that belong together; a group is never split.
        fewest: images (groups) that a class must have; if None, ``folds``. A class with fewer than
            ``folds`` is held out in as many folds as it has.
        names: of the classes or labels, for messages.
        required: whether each stratum must be learnt from in every fold, as classes must, and
            quantiles of numbers need not.

    Returns:
        The splits. Class counts of two folds of a repeat differ by at most 1 without groups; with
        groups that lie within a class, by at most the images of its largest group.

    Raises:
        UsageError: ``folds``, ``repeats`` or ``seed`` is too small.
        DataError: fewer than two classes, or a class with fewer images (groups) than allowed.

    Example:

    >>> splits = make_splits(np.array([0, 0, 0, 1, 1, 1]), folds=3, repeats=1, seed=0)
    >>> splits.assignment
    array([[1, 2, 0, 0, 2, 1]], dtype=int16)
    >>> train, test = splits.indices(repeat=0, fold=0)
    >>> train, test
    (array([0, 1, 4, 5]), array([2, 3]))
    """
    _check_numbers(folds, repeats, seed)
    labels = np.asarray(strata)
    several = labels.ndim == 2
    if required:
        _check_classes(labels, fewest or folds, groups, names)
    grouped = None if groups is None or several else Grouped.of(labels, groups)
    sources = [_random(seed, repeat) for repeat in range(repeats)]
    if several:
        dealt = [deal_labels(labels, folds, source, groups) for source in sources]
    elif grouped is None or grouped.alone.all():
        dealt = [_deal_stratified(labels, folds, source) for source in sources]
    else:
        dealt = [grouped.deal(folds, source) for source in sources]
    assignment = np.stack(dealt)
    if grouped is not None or several:
        _check_training_parts(labels, assignment, folds, names, required)
    assignment.flags.writeable = False
    return Splits(folds, repeats, seed, assignment)


def _random(seed: int, repeat: int) -> np.random.RandomState:
    return np.random.RandomState(np.random.SeedSequence([seed, repeat]).generate_state(1)[0])


def _deal_stratified(labels: Ints, folds: int, rng: np.random.RandomState) -> npt.NDArray[np.int16]:
    """Deal exactly the folds of scikit-learn's StratifiedKFold.

    Written out because its import takes seconds, which a comparison starts without. Each class is
    dealt separately. How many images of it a fold gets follows from the sorted labels, dealt in
    turn, so that the folds differ by one image at most in each class and in all.
    """
    _, first, codes = np.unique(labels, return_index=True, return_inverse=True)
    codes = np.argsort(np.argsort(first))[codes]  # classes in the order of their appearance
    ordered = np.sort(codes)
    share = [np.bincount(ordered[fold::folds], minlength=len(first)) for fold in range(folds)]
    assignment = np.empty(len(labels), np.int16)
    for code, counts in enumerate(np.transpose(share)):
        dealt = np.arange(folds).repeat(counts)
        rng.shuffle(dealt)
        assignment[codes == code] = dealt
    return assignment


def _check_numbers(folds: int, repeats: int, seed: int) -> None:
    for name, value, least in (("folds", folds, 2), ("repeats", repeats, 1), ("seed", seed, 0)):
        if value < least:
            raise UsageError.invalid(name, value, f"an integer of at least {least}")


def _check_classes(labels: Ints, folds: int, groups: Ints | None, names: Sequence[str]) -> None:
    several = labels.ndim == 2
    classes = list(range(labels.shape[1])) if several else np.unique(labels).tolist()
    if len(classes) < 2 and not several:
        raise DataError("All images are of one class. Expected at least 2: add images of another.")
    # a group counts once: a class that is one group cannot be both learnt and tested
    units, unit = np.arange(len(labels)), "images"
    if groups is not None:
        units, unit = np.asarray(groups), "groups of images"
    counts = np.array([len(np.unique(units[_has(labels, each)])) for each in classes])
    scarce = counts < folds
    if not scarce.any():
        return
    listed = ", ".join(
        f"{_named(c, names)} has {m}" for c, m in zip(classes, counts, strict=True) if m < folds
    )
    fewer = f", or set `folds={counts.min()}`" if counts.min() >= FEWEST_FOLDS else ""
    noun = "label" if several else "class"
    raise DataError(
        f"Each {noun} needs at least {folds} {unit}, but {noun} {listed}: add images{fewer}."
    )


def _has(labels: Ints, name: int) -> npt.NDArray[np.bool_]:
    """Say which images are of a class, or have a label, bool (n,)."""
    has: npt.NDArray[np.bool_] = labels[:, name] > 0 if labels.ndim == 2 else labels == name
    return has


def _named(label: int, names: Sequence[str]) -> str:
    return f"'{names[label]}'" if names else str(label)


def _check_training_parts(
    labels: Ints,
    assignment: npt.NDArray[np.int16],
    folds: int,
    names: Sequence[str],
    required: bool,
) -> None:
    """Check that no fold is empty, and that each class is learnt from in every fold."""
    several = labels.ndim == 2
    classes = list(range(labels.shape[1])) if several else np.unique(labels).tolist()
    noun = "label" if several else "class"
    for repeat in assignment:
        for fold in range(folds):
            train = repeat != fold
            missing = [c for c in classes if required and not _has(labels[train], c).any()]
            if missing or train.all():
                what = "no image"
                if missing:
                    what = f"{noun} {_named(missing[0], names)} without training images"
                raise DataError(
                    f"The groups leave fold {fold} with {what}: use smaller groups, or add images."
                )
