"""Dealing images with several labels into folds: iterative stratification.

The label with the fewest images still to be dealt goes first, each of its images (or groups) to the
fold that lacks most of it: what is rare can be spread evenly only while there is a choice
(Sechidis, Tsoumakas & Vlahavas: On the Stratification of Multi-Label Data, ECML PKDD 2011,
algorithm 1).
Images without a label even out the sizes of the folds at the end.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.integer]


def deal_labels(
    values: Ints, folds: int, rng: np.random.RandomState, groups: Ints | None = None
) -> npt.NDArray[np.int16]:
    """Give each image its fold, int16 (n,).

    Args:
        values: (n, K), 1 where an image has a label, else 0.
        folds: number of folds.
        rng: decides where folds lack as much.
        groups: int (n,), equal for images that belong together; a group is never split.
    """
    unit = np.arange(len(values)) if groups is None else np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(unit)
    counts = np.zeros((len(sizes), values.shape[1]))
    np.add.at(counts, unit, values)
    lacking = np.tile(counts.sum(axis=0) / folds, (folds, 1))
    room = np.full(folds, len(values) / folds)
    left = counts.sum(axis=0)
    dealt = np.full(len(sizes), -1, np.int16)

    def deal(group: int, wanted: np.ndarray) -> None:
        luck = rng.random_sample(folds)
        fold = int(np.lexsort((luck, -room, -np.round(wanted, 9)))[0])
        dealt[group] = fold
        lacking[fold] -= counts[group]
        room[fold] -= sizes[group]
        left[:] -= counts[group]

    while (left > 0.5).any():
        label = int(np.where(left > 0.5, left, np.inf).argmin())
        mine = np.flatnonzero((dealt < 0) & (counts[:, label] > 0))
        # large groups first: single images can still even out what those leave uneven
        order = mine[np.lexsort((rng.random_sample(len(mine)), -counts[mine, label]))]
        for group in order:
            deal(group, lacking[:, label])
    rest = np.flatnonzero(dealt < 0)
    for group in rest[np.lexsort((rng.random_sample(len(rest)), -sizes[rest]))]:
        deal(group, room)
    return dealt[unit]
