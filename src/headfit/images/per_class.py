"""How many images each class or label must have, and which targets leave nothing to learn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headfit.errors import DataError
from headfit.images.sources.source import quote
from headfit.images.targets import LABELS, NUMBER, Targets
from headfit.util.nouns import counted

FEWEST_FOLDS = 3
"""Folds of a comparison: one to test on, one to choose settings on, one to train on."""
_SHOWN = 10


def require_per_class(targets: Targets, folds: int) -> None:
    """Check that each class or label can have an image in every fold, and that numbers differ.

    Args:
        targets: of the images, without those of the test split.
        folds: the number of folds.

    Raises:
        DataError: a class or label has too few; names each and its count. All images have a label,
            there are more labels than images, or a number is the same for all images.
    """
    if targets.kind == NUMBER:
        _require_numbers(targets)
        return
    if targets.kind == LABELS:
        _require_labels(targets)
    require(targets, folds, "folds", FEWEST_FOLDS, f" for {folds} folds")
    if targets.kind == LABELS:
        _require_without(targets)


def require(targets: Targets, fewest: int, argument: str, least: int, purpose: str = "") -> None:
    """Check the classes or labels; ``least`` is the lowest value that the argument can have."""
    counts = targets.counts()
    few = {name: count for name, count in counts.items() if count < fewest}
    if few:
        smallest = min(counts.values())
        lower = f", or set `{argument}={smallest}`" if smallest >= least else ""
        what = "Labels" if targets.kind == LABELS else "Classes"
        raise DataError(
            f"{what} with too few images: {_listed(few)}. At least {fewest} each are needed"
            f"{purpose}. Add images to them or leave them out{lower}."
        )


def _require_labels(targets: Targets) -> None:
    """Refuse more labels than images."""
    if targets.count > len(targets):
        images, first = counted(len(targets), "training image"), quote(targets.names[0])
        raise DataError(
            f"There are {targets.count:,} labels for {images}, such as {first}. Expected fewer "
            "labels than images. Does the column hold names or captions?"
        )


def _require_without(targets: Targets) -> None:
    """Refuse labels that too few images lack to learn when one is absent."""
    absent = len(targets) - targets.mentions.sum(axis=0)
    few = {
        name: n for name, n in zip(targets.names, absent.tolist(), strict=True) if n < FEWEST_FOLDS
    }
    if few:
        raise DataError(
            f"Labels with too few images without them: {_listed(few)}. At least {FEWEST_FOLDS} of "
            f"the {counted(len(targets), 'training image')} are needed to learn when a label is "
            "absent. Add such images or leave these labels out."
        )


def _require_numbers(targets: Targets) -> None:
    """Refuse numbers that are the same everywhere, and images too few for folds."""
    if len(targets) < FEWEST_FOLDS:
        raise DataError(
            f"There must be at least {FEWEST_FOLDS} training images. Received: {len(targets)}. Add "
            "images."
        )
    same = np.flatnonzero(np.ptp(targets.values, axis=0) == 0)
    if len(same):
        name, value = targets.names[same[0]], targets.values[0, same[0]]
        raise DataError(
            f"The number {quote(name)} is {value:.6g} for all "
            f"{counted(len(targets), 'training image')}, so there is nothing to predict. Leave it "
            "out, or add images where it differs."
        )


def _listed(counts: dict[str, int]) -> str:
    shown: Sequence[str] = [f"{quote(name)} ({count})" for name, count in counts.items()]
    more = len(shown) - _SHOWN
    return ", ".join(shown[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
