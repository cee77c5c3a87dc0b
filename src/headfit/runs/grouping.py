"""Which images belong together, so that no fold predicts what another was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.errors import DataError, UsageError
from headfit.features.extract import Extraction
from headfit.fitting.pooled import PooledFeatures
from headfit.heads.layers.plain import GAP
from headfit.images.groups import groups_of, read_groups
from headfit.images.index import ImageIndex
from headfit.images.sources.source import quote
from headfit.images.targets import CLASS, LABELS, NUMBER, Targets
from headfit.progress import Callback
from headfit.runs.options import MIN_FOLDS, Options
from headfit.study.protocol.duplicates import merge_groups, near_duplicates
from headfit.util.nouns import counted

# a group that holds more of the images than this is likelier a plain background than one picture
LARGE = 0.1
OFF = "`near_duplicates=False`"
# what copies of one picture must not have
_CONTRADICTIONS = {
    CLASS: ("is", "are", "in several classes"),
    LABELS: ("has", "have", "copies with different labels"),
    NUMBER: ("has", "have", "copies with different numbers"),
}


@dataclass(frozen=True)
class Grouping:
    """Groups of the training images.

    Attributes:
        numbers: int (n,), equal for images that belong together; None if each stands alone.
        alike: int (n,), equal for copies and near-duplicates only; None if each stands alone.
        digests: int (n,), equal for copies only.
        facts: as they go into results.
    """

    numbers: np.ndarray | None
    alike: np.ndarray | None
    digests: np.ndarray
    facts: dict[str, Any]


@dataclass(frozen=True)
class UserGroups:
    """Groups that the user names, with ``groups`` or in the index.

    Attributes:
        numbers: the group of each training image, by its path.
        source: the file or regular expression that they come from; empty for the index.
        unmatched: how many images it does not match; each of them stands alone.
    """

    numbers: dict[str, int]
    source: str
    unmatched: int

    @classmethod
    def read(cls, index: ImageIndex, options: Options) -> UserGroups | None:
        """Read them, before any image is read; None if the user names none.

        Raises:
            UsageError, DataError: if they cannot be read, or do not cover the training images.
        """
        trained = index.subset(index.training)
        source = "" if options.groups is None else str(options.groups)
        groups = groups_of(trained) if options.groups is None else read_groups(source, trained)
        if groups is None:
            return None
        if source and index.groups is not None:
            raise UsageError.invalid(
                "groups", source, "left out: the index names the groups of its images already"
            )
        numbers = dict(zip(trained.paths, groups.numbers.tolist(), strict=True))
        return cls(numbers, source, groups.unmatched)


def find_groups(
    extraction: Extraction,
    rows: np.ndarray,
    user_groups: UserGroups | None,
    options: Options,
    callback: Callback,
) -> Grouping:
    """Join copies, near-duplicates and the user's own groups.

    Args:
        extraction: the maps of all images.
        rows: int (n,), those that the study trains on.
        user_groups: the user's own groups, if there are any.
        options: whether near-duplicates count.
        callback: receives messages about groups and about test images like training images.
    """
    digests = np.unique(extraction.digests, return_inverse=True)[1]
    facts: dict[str, Any] = {"copies": len(rows) - len(np.unique(digests[rows]))}
    if facts["copies"]:
        copies = counted(facts["copies"], "file is a copy", "files are copies")
        callback.on_message(f"{copies} of others; copies stay in one fold.")
    _warn_of_contradictions(extraction, rows, digests, callback)
    alike = digests
    if options.near_duplicates:
        averages = PooledFeatures(extraction.maps, (GAP,)).features(GAP, None)
        alike = merge_groups(digests, near_duplicates(extraction.hashes, averages).groups)
        facts["near_duplicates"] = _near(alike[rows], digests[rows], callback)
    _warn_of_leaks(extraction, rows, digests, alike, callback)
    numbers = merge_groups(alike[rows])
    if user_groups is not None:
        own = np.array([user_groups.numbers[extraction.index.paths[row]] for row in rows])
        count, alone = len(np.unique(own)), user_groups.unmatched
        facts["given"] = {"groups": count, "alone": alone}
        rest = f"; {counted(alone, 'image stands', 'images stand')} alone" if alone else ""
        origin = f"`groups={user_groups.source!r}`" if user_groups.source else "the image index"
        callback.on_message(f"{counted(count, 'group')} from {origin}{rest}.")
        numbers = merge_groups(numbers, own)
    facts["groups"] = len(np.unique(numbers))
    return Grouping(_or_none(numbers), _or_none(alike[rows]), digests[rows], facts)


def class_sizes(targets: Targets, groups: Grouping) -> dict[str, int]:
    """Count the groups of each class or label that occurs; of numbers, those of all images."""
    numbers = np.arange(len(targets)) if groups.numbers is None else groups.numbers
    if targets.kind == NUMBER:
        return {"all": len(np.unique(numbers))}
    counts = (len(np.unique(numbers[has])) for has in targets.mentions.T)
    return {name: count for name, count in zip(targets.names, counts, strict=True) if count}


def folds_for(targets: Targets, groups: Grouping, options: Options, callback: Callback) -> int:
    """Give the number of folds: the protocol's, or fewer if a class has too few groups.

    Raises:
        DataError: if a class has fewer groups than the least number of folds.
    """
    counts = class_sizes(targets, groups)
    fewest = min(counts.values())
    if fewest >= options.max_folds:
        return options.max_folds
    if fewest >= options.min_folds:
        what = "images" if groups.numbers is None else "groups of images"
        name = next(name for name, count in counts.items() if count == fewest)
        noun = {CLASS: f"class {quote(name)} has", LABELS: f"label {quote(name)} has"}
        whose = noun.get(targets.kind, "there are")
        callback.on_message(
            f"{fewest} folds instead of {options.max_folds}: {whose} only {fewest} {what}."
        )
        return fewest
    scarce = [name for name, count in counts.items() if count < options.min_folds]
    remedies = ["Add images"]
    if fewest >= MIN_FOLDS:
        remedies.append(f"set `folds={fewest}`")
    if groups.facts.get("near_duplicates", {}).get("images"):
        remedies.append(f"set {OFF} if they are not duplicates")
    each = {CLASS: "Each class needs", LABELS: "Each label needs"}
    whom = each.get(targets.kind, "There must be")
    raise DataError(
        f"{whom} at least {options.min_folds} images that do not belong together, but "
        f"{', '.join(_content(name, targets, groups, counts[name]) for name in scarce)}. "
        f"{', or '.join(remedies)}."
    )


def lone_groups(targets: Targets, groups: Grouping) -> list[str]:
    """Say which classes cannot be predicted when each group is left out in turn."""
    lone = [name for name, size in class_sizes(targets, groups).items() if size == 1]
    return [
        f"WARNING: {_content(name, targets, groups, 1)}. All are left out together, so none can be "
        f"predicted right. Add images."
        for name in lone
    ]


def _content(name: str, targets: Targets, groups: Grouping, count: int) -> str:
    """Say of a class how many images it has, and how few groups they form."""
    if targets.kind == NUMBER:
        return f"there are {counted(count, 'image')} that do not"
    rows = targets.mentions[:, targets.names.index(name)]
    images = counted(int(rows.sum()), "image")
    name = quote(name)
    if rows.sum() > 1 and len(np.unique(groups.digests[rows])) == 1:
        return f"{name} holds {counted(int(rows.sum()), 'copy', 'copies')} of one picture"
    if count == rows.sum():
        return f"{name} has {images}"
    alike = groups.alike is not None and len(np.unique(groups.alike[rows])) == count
    kind = "near-duplicates" if alike else "images that belong together"
    return f"{name} has {images} in {counted(count, 'group')} of {kind}"


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
        groups_of = counted(facts["groups"], "group", "groups")
        callback.on_message(
            f"{facts['images']:,} images are near-duplicates of others, in {groups_of}; each group "
            f"stays in one fold."
        )
    if facts["largest"] > max(2, LARGE * len(first)):
        callback.on_message(
            f"WARNING: {facts['largest']} of {len(first)} images count as near-duplicates of each "
            f"other. If they are not, set {OFF}."
        )
    return facts


def _warn_of_contradictions(
    extraction: Extraction, rows: np.ndarray, digests: np.ndarray, callback: Callback
) -> None:
    """Warn if copies of one picture have different targets: one of them must be wrong."""
    index = extraction.index
    values = index.labels[rows].reshape(len(rows), -1)
    pairs = np.unique(np.column_stack([digests[rows], values]), axis=0)
    numbers, counts = np.unique(pairs[:, 0], return_counts=True)
    several = numbers[counts > 1]
    if len(several):
        same = rows[digests[rows] == several[0]]
        other = next(r for r in same if (index.labels[r] != index.labels[same[0]]).any())
        kind = index.targets.kind
        one, more, what = _CONTRADICTIONS[kind]
        pictures = counted(len(several), f"picture {one}", f"pictures {more}")
        callback.on_message(
            f"WARNING: {pictures} {what}, so a "
            f"{'number' if kind == NUMBER else 'label'} must be wrong. The first: "
            f"{index.paths[same[0]]} and {index.paths[other]}"
        )


def _warn_of_leaks(
    extraction: Extraction,
    rows: np.ndarray,
    digests: np.ndarray,
    alike: np.ndarray,
    callback: Callback,
) -> None:
    """Warn if test images are also trained on: the test score is then too good."""
    tested = np.delete(np.arange(len(alike)), rows)
    for numbers, one, several in (
        (digests, "a copy", "copies"),
        (alike, "a near-duplicate", "near-duplicates"),
    ):
        leaked = tested[np.isin(numbers[tested], numbers[rows])]
        if len(leaked):
            images = counted(len(leaked), f"test image is {one}", f"test images are {several}")
            callback.on_message(
                f"WARNING: {images} of training images, so the test score is too good. The first: "
                f"{extraction.index.paths[leaked[0]]}"
            )
            return
