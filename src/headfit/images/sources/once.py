"""One image for each file, however many links point to it."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import replace

from headfit.images.sources.layout import Layout
from headfit.images.sources.links import Links
from headfit.images.sources.source import TEST, Skipped

SAME = "a link to an image that is already included"
CONTRADICTS = "an image that is linked into several classes or splits"


def read_once(layout: Layout, links: Links) -> Layout:
    """Leave out all but one of the images that are one file.

    The file itself stays rather than a link to it. If a file is linked into several classes, or
    into the test images and others, none of them stays, as with rows of a table: either may be
    wrong, and an image that heads are trained on must not test them.

    Args:
        layout: the images.
        links: that a walk met; its ``real`` tells where the images really lie.
    """
    if not links.real:
        return layout
    places, targets = links.real, set(links.real.values())
    same: dict[str, list[int]] = defaultdict(list)
    for row, path in enumerate(layout.paths):
        place = places.get(path) or os.path.join(links.root, path.replace("/", os.sep))  # noqa: PTH118
        if place in targets:
            same[place].append(row)
    reasons: dict[int, str] = {}
    for rows in same.values():
        uses = {(layout.labels[row], layout.splits[row] == TEST) for row in rows}
        first = min(rows, key=lambda row: layout.paths[row] in places)  # the earliest of equals
        for row in rows:
            if len(uses) > 1:
                reasons[row] = CONTRADICTS
            elif row != first:
                reasons[row] = SAME
    rest = [row for row in range(len(layout.paths)) if row not in reasons]
    skipped = [
        Skipped(layout.paths[row], reason, layout.labels[row]) for row, reason in reasons.items()
    ]
    return replace(
        layout,
        paths=[layout.paths[row] for row in rest],
        labels=[layout.labels[row] for row in rest],
        splits=[layout.splits[row] for row in rest],
        skipped=[*layout.skipped, *skipped],
    )
