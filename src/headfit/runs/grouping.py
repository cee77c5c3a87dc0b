"""Which images belong together, so that no fold predicts what another has seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.errors import DataError
from headfit.features.extract import Extraction
from headfit.fitting.pooled import PooledFeatures
from headfit.heads.layers.gap import GAP
from headfit.images.groups import read_groups
from headfit.images.index import TEST, ImageIndex
from headfit.progress import Callback
from headfit.runs.options import Options
from headfit.study.protocol.duplicates import merge_groups, near_duplicates

# a group that holds more of the images than this is more likely a plain ground than one picture
LARGE = 0.1
OFF = "--no-near-duplicates"


@dataclass(frozen=True)
class Grouping:
    """Groups of the training images.

    Attributes:
        numbers: int (n,), equal for images that belong together; None if each stands alone.
        alike: int (n,), equal for copies and near-duplicates only; None if each stands alone.
        facts: as they go into results.
    """

    numbers: np.ndarray | None
    alike: np.ndarray | None
    facts: dict[str, Any]


@dataclass(frozen=True)
class Given:
    """The user's own groups.

    Attributes:
        groups: the group of each training image, by its path.
        source: where they are from, as the user said it.
        alone: how many images match nothing and stand alone.
    """

    groups: dict[str, int]
    source: str
    alone: int

    @classmethod
    def of(cls, index: ImageIndex, options: Options) -> Given | None:
        """Read them, before any image is; None if there are none.

        Raises:
            UsageError, DataError: if they cannot be read, or say nothing of a training image.
        """
        if options.groups is None:
            return None
        trained = index.subset(np.array([split != TEST for split in index.splits], bool))
        found = read_groups(options.groups, trained)
        numbers = dict(zip(trained.paths, found.numbers.tolist(), strict=True))
        return cls(numbers, options.groups, found.unmatched)


def find_groups(
    found: Extraction,
    rows: np.ndarray,
    given: Given | None,
    options: Options,
    callback: Callback,
) -> Grouping:
    """Join copies, near-duplicates and the user's own groups.

    Args:
        found: all images.
        rows: int (n,), those that the study trains on.
        given: the user's own groups.
        options: whether near-duplicates count.
        callback: is told what was found, and of test images that are alike to training images.
    """
    digests = np.unique(found.digests, return_inverse=True)[1]
    facts: dict[str, Any] = {"copies": len(rows) - len(np.unique(digests[rows]))}
    if facts["copies"]:
        callback.on_message(f"{facts['copies']} files are copies of others; copies stay together.")
    alike = digests
    if options.near_duplicates:
        averages = PooledFeatures(found.maps, (GAP,)).features(GAP, None)
        alike = merge_groups(digests, near_duplicates(found.hashes, averages).groups)
        facts["near_duplicates"] = _near(alike[rows], digests[rows], callback)
    _leaks(found, rows, digests, alike, callback)
    numbers = merge_groups(alike[rows])
    if given is not None:
        own = np.array([given.groups[found.index.paths[row]] for row in rows])
        count, alone = len(np.unique(own)), given.alone
        facts["given"] = {"groups": count, "alone": alone}
        rest = f"; {alone} images match nothing and stand alone" if alone else ""
        callback.on_message(f"{count} groups by --groups {given.source}{rest}.")
        numbers = merge_groups(numbers, own)
    facts["groups"] = len(np.unique(numbers))
    return Grouping(_or_none(numbers), _or_none(alike[rows]), facts)


def folds_for(labels: np.ndarray, groups: Grouping, options: Options, callback: Callback) -> int:
    """Give the number of folds: the protocol's, or fewer if a class has too few groups.

    Raises:
        DataError: if a class has fewer groups than the least number of folds.
    """
    numbers = np.arange(len(labels)) if groups.numbers is None else groups.numbers
    fewest = min(len(np.unique(numbers[labels == label])) for label in np.unique(labels))
    if fewest >= options.most_folds:
        return options.most_folds
    if fewest >= options.least_folds:
        what = "images" if groups.numbers is None else "groups of images"
        callback.on_message(
            f"{fewest} folds instead of {options.most_folds}: a class has only {fewest} {what}."
        )
        return fewest
    if groups.facts.get("near_duplicates", {}).get("images"):
        raise DataError(
            f"A class has only {fewest} groups of images that are not near-duplicates of each "
            f"other, and {options.least_folds} are needed: add images, ask for fewer --folds or, "
            f"if they are no duplicates, say {OFF}."
        )
    return options.least_folds  # the splits say which class lacks what


def _or_none(groups: np.ndarray) -> np.ndarray | None:
    return None if len(np.unique(groups)) == len(groups) else groups


def _near(groups: np.ndarray, digests: np.ndarray, callback: Callback) -> dict[str, int]:
    """Count near-duplicates among training images, of which copies count once, and say so."""
    first = np.unique(digests, return_index=True)[1]
    sizes = np.bincount(groups[first])
    several = sizes[sizes > 1]
    facts = {
        "groups": len(several),
        "images": int(several.sum()),
        "largest": int(several.max()) if len(several) else 1,
    }
    if facts["images"]:
        groups_of = "1 group" if facts["groups"] == 1 else f"{facts['groups']} groups"
        callback.on_message(
            f"{facts['images']} images are near-duplicates of others, in {groups_of}; each group "
            f"stays together."
        )
    if facts["largest"] > max(2, LARGE * len(first)):
        callback.on_message(
            f"WARNING: {facts['largest']} of {len(first)} images count as one picture. If they are "
            f"not, say {OFF}."
        )
    return facts


def _leaks(
    found: Extraction,
    rows: np.ndarray,
    digests: np.ndarray,
    alike: np.ndarray,
    callback: Callback,
) -> None:
    """Say so if test images are also trained on: the test score is then too good."""
    tested = np.delete(np.arange(len(alike)), rows)
    for numbers, what in ((digests, "copies"), (alike, "near-duplicates")):
        leaked = tested[np.isin(numbers[tested], numbers[rows])]
        if len(leaked):
            callback.on_message(
                f"WARNING: {len(leaked)} test images are {what} of training images, so the test "
                f"score is too good; the first: {found.index.paths[leaked[0]]}"
            )
            return
