"""How many images each class must have."""

from __future__ import annotations

from headfit.errors import DataError
from headfit.images.sources.source import quote
from headfit.images.targets import Targets

FEWEST_FOLDS = 3
"""Folds of a comparison: one to test on, one to choose settings on, one to train on."""


def require_per_class(targets: Targets, folds: int) -> None:
    """Check that each class can have an image in every fold.

    Args:
        targets: of the images, without those of the test split.
        folds: the number of folds.

    Raises:
        DataError: a class has too few; names each such class and its count.
    """
    require(targets, folds, "folds", FEWEST_FOLDS, f" for {folds} folds")


def require(targets: Targets, fewest: int, argument: str, least: int, purpose: str = "") -> None:
    """Check the classes; ``least`` is the lowest value that the argument can have."""
    counts = targets.counts()
    few = [f"{quote(name)} ({count})" for name, count in counts.items() if count < fewest]
    if few:
        smallest = min(counts.values())
        lower = f", or set `{argument}={smallest}`" if smallest >= least else ""
        raise DataError(
            f"Classes with too few images: {', '.join(few)}. At least {fewest} each are needed"
            f"{purpose}. Add images to them or leave them out{lower}."
        )
