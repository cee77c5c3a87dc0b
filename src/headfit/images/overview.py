"""What an index holds, in a few words and as a table."""

from __future__ import annotations

from collections.abc import Sequence

from headfit.images.sources.source import TEST, TRAIN, VALIDATION, quote
from headfit.images.targets import CLASS, LABELS, NUMBER, Targets
from headfit.util.nouns import counted

NOUNS = {CLASS: ("class", "classes"), LABELS: ("label", "labels"), NUMBER: ("number", "numbers")}
"""What the names of each kind of targets are called: one, and several."""


def counted_names(targets: Targets) -> str:
    """Count the names of targets.

    Example:

    >>> counted_names(Targets.of_labels([{"sea"}, {"sea", "sky"}]))
    '2 labels'
    """
    return counted(targets.count, *NOUNS[targets.kind])


def ranges(targets: Targets) -> dict[str, tuple[float, float, float]]:
    """Return the least, the mean and the greatest value of each number; of some images."""
    columns = zip(targets.names, targets.values.T, strict=True)
    return {name: (column.min(), column.mean(), column.max()) for name, column in columns}


def line(name: str, targets: Targets, splits: Sequence[str]) -> str:
    """Say of an index how many images and names it has.

    Args:
        name: of the source.
        targets: of the images.
        splits: of each image.
    """
    parts = {split: splits.count(split) for split in (TRAIN, VALIDATION, TEST)}
    listed = ", ".join(f"{count} {split}" for split, count in parts.items() if count)
    more = f" ({listed})" if set(splits) - {TRAIN} else ""
    images = counted(len(targets), "image")
    return f"<ImageIndex {quote(name)}: {images}{more}, {counted_names(targets)}>"


def rows(targets: Targets) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the head and the rows of a table: images of each name, or the range of each number."""
    if targets.kind != NUMBER or not len(targets):
        noun = NOUNS[targets.kind][0]
        return (noun, "images"), [(name, f"{n:,}") for name, n in targets.counts().items()]
    cells = ranges(targets).items()
    head = ("number", "least", "mean", "greatest")
    return head, [(name, *(f"{each:.4g}" for each in three)) for name, three in cells]
