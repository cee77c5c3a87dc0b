"""What is said of feature maps that no head can learn from."""

from __future__ import annotations

from collections.abc import Sequence


def equal_maps(backbone: str, digests: Sequence[str]) -> str:
    """Say that all images have the same feature map.

    Args:
        backbone: its name.
        digests: of the content of each image.
    """
    if len(set(digests)) == 1:
        return (
            f"WARNING: all {len(digests)} images are copies of one: there is nothing to tell apart."
        )
    return (
        f"WARNING: the feature maps of all {len(digests)} images are equal: {backbone} tells none "
        f"of them apart, and no head can be better than a guess. Check its weights and the "
        f"preprocessing of its input, and look for dead units."
    )
