"""Near-duplicates: copies of one image with small changes, which must be in one fold.

Two images are near-duplicates if their perceptual hashes differ in few bits and the backbone's
features nearly agree. A hash alone confuses small objects on a plain background; features alone
ignore where the object is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.integer]

BITS = 6
CLOSE_BITS = 2
# A cut-off edge moves the hash and hardly the features, compression and blur the features and
# hardly the hash: so pictures within 2 bits need a cosine of 0.5 only. Measured with
# EfficientNet-Lite0: of 100 altered copies of each set's images, % that are found; and pairs among
# the images as they are. Hands: 2,062 photographs of 100×100; cells: 2,624 of 300×300 (headfit
# demo); digits: 1,797 of 8×8; where and what: 640 generated.
#                                  0.5 and 0.85                    0.85 for all
#                          hands cells digits where what   hands cells digits where what
#   JPEG, quality 75          99   100    100   100  100      25    97     64    36   43
#   JPEG, quality 50          87    98     95    98   99       1    50      8    13   19
#   size × 0.9               100   100    100   100  100      96   100    100    64   71
#   size × 0.5                44   100    100    82   79       0    97     87     3    3
#   brightness + 10 %        100    98     92   100  100     100    97     46   100  100
#   brightness − 10 %        100   100    100   100  100     100    99     69   100  100
#   2 % cut off, all round   100    95     99    99   98     100    91     99    95   96
#   5 % cut off, all round    97     1     84    54   58      96     1     83    52   57
#   5 % off two sides only    11     2     12     3    6      11     1     12     2    6
#   a line of text           100    82     90    98  100      99    70     78    98   99
#   × 0.7, 2 % off, JPEG 60   26    42     99    37   42       0     5     40     1    4
#   pairs in the set           1  1167     12     0    0       0  1136      6     0    0
#   images of largest group    2   160      3     1    1       1    84      2     1    1
# The pairs, looked at: of hands, two people in one pose; of digits, not to be told apart by eye; of
# 24 of the cells' 14 show the same grain or streaks (wafers of one block), the rest are plain,
# as those of the group of 160. With 0.7 for all, hands have 25 pairs, of which one is of a burst,
# and a group of 8; with 0.5 85 and 22. With MobileNet's features hands have 3 pairs, and as many
# copies are found but for JPEG 50 (80) and the last line (11).
CLOSE_COSINE, COSINE = 0.5, 0.85
PAIRS_AT_ONCE = 2_000_000


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Groups of images that are near-duplicates of each other.

    Attributes:
        groups: int (n,), equal for near-duplicates, numbered from 0 by their first image.
        components: number of groups of more than one image.
        images: number of images in those groups.
        largest: number of images in the largest group; 1 if there are no near-duplicates.
    """

    groups: npt.NDArray[np.intp]
    components: int
    images: int
    largest: int

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as plain data that JSON can hold."""
        return {"components": self.components, "images": self.images, "largest": self.largest}


def near_duplicates(
    hashes: npt.NDArray[np.uint64], features: npt.NDArray[np.float32]
) -> Duplicates:
    """Find groups of images that are near-duplicates, directly or through other images.

    Identical files are always in one group. Time grows with the square of n, memory with n.

    Args:
        hashes: perceptual hashes, uint64 (n,).
        features: globally averaged feature maps, float32 (n, C).

    Returns:
        The groups. Images that neither the hash nor the backbone can tell apart, such as plain
        ones, form one large group: check ``largest``.
    """
    directions = _directions(features)
    groups: npt.NDArray[np.intp] = np.arange(len(hashes))
    for one, other in _alike(hashes, directions):
        groups = _joined(groups, groups[one], groups[other])
    sizes = np.bincount(groups, minlength=1)
    several = sizes[sizes > 1]
    return Duplicates(groups, len(several), int(several.sum()), int(sizes.max()))


def merge_groups(*groupings: Ints) -> npt.NDArray[np.intp]:
    """Join groupings of the same images: images together in any of them are together.

    Args:
        groupings: at least one, int (n,) each, equal for images that belong together.

    Returns:
        int (n,), groups numbered from 0 by their first image.

    Example:

    >>> merge_groups(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2]))
    array([0, 0, 0, 1])
    """
    merged: npt.NDArray[np.intp] = np.arange(len(groupings[0]))
    for grouping in groupings:
        first, numbers = np.unique(grouping, return_index=True, return_inverse=True)[1:]
        merged = _joined(merged, merged, merged[first[numbers]])
    return merged


def _directions(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Centre features on their mean, and give them length 1; 0 stays 0."""
    centred: npt.NDArray[np.float32] = features - features.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    np.divide(centred, lengths, out=centred, where=lengths > 0)
    return centred


def _alike(
    hashes: npt.NDArray[np.uint64], directions: npt.NDArray[np.float32]
) -> Iterator[tuple[Ints, Ints]]:
    """Yield the pairs of near-duplicates, a block of first images at a time."""
    rows = max(1, PAIRS_AT_ONCE // max(1, len(hashes)))
    for start in range(0, len(hashes), rows):
        bits = np.bitwise_count(hashes[start : start + rows, None] ^ hashes[start:])
        near = bits <= BITS
        near &= np.arange(len(bits))[:, None] < np.arange(bits.shape[1])  # each pair once
        one, other = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
        if not len(one):
            continue
        wanted = np.where(bits[np.ix_(one, other)] <= CLOSE_BITS, CLOSE_COSINE, COSINE)
        left, right = directions[start + one], directions[start + other]
        # one product of all that occur in a pair: a gather for each pair is a hundred times slower
        alike = left @ right.T >= wanted
        # without a direction are those at the mean, whose features are equal
        alike |= np.logical_and.outer(~left.any(axis=1), ~right.any(axis=1))
        first, second = np.nonzero(near[np.ix_(one, other)] & alike)
        yield start + one[first], start + other[second]


def _joined(groups: Ints, one: Ints, other: Ints) -> npt.NDArray[np.intp]:
    """Join the groups ``one`` with the groups ``other``, and number all groups again."""
    from scipy.sparse import coo_array  # noqa: PLC0415
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    n = len(groups)
    edges = coo_array((np.ones(len(one), np.int8), (one, other)), shape=(n, n))
    joined = connected_components(edges, directed=False)[1][groups]
    first, numbers = np.unique(joined, return_index=True, return_inverse=True)[1:]
    return np.argsort(np.argsort(first))[numbers]
