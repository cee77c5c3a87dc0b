"""What is said of the depth of images, and of feature maps that no head can learn from."""

from __future__ import annotations

from collections.abc import Sequence

from headfit.images.first_look import FirstLook
from headfit.util.nouns import counted

UNLIKE_BITS = 4  # images that differ by as many are 16 times as dark as others


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


def depth_lines(seen: FirstLook) -> list[str]:
    """Say how images of more than 8 bits are scaled; nothing if there are none."""
    kinds = (
        (seen.integers, "16 or 32 bits", seen.depth.integers),
        (seen.floats, "floating-point values", seen.depth.floats),
    )
    lines = [
        f"{counted(count, 'image')} of {name}: {_value(span[0])} is black and {_value(span[1])} "
        f"white, here and wherever the model is used."
        for count, name, span in kinds
        if span is not None
    ]
    if (lines and seen.plain) or len(lines) > 1:
        lines.append(
            f"WARNING: images of different depth are mixed: {_parts(seen)}. Each kind has its own "
            f"scaling. If the kinds are not spread evenly over the classes, convert all images to "
            f"one of them: heads could learn the kind."
        )
    if seen.bits and seen.bits[1] - seen.bits[0] >= UNLIKE_BITS:
        lines.append(
            f"WARNING: the values of some images need {seen.bits[0]} bits, those of others "
            f"{seen.bits[1]}. One scaling holds for all, so the former are dark. If they come from "
            f"different devices, convert the images of each device to 8 bits."
        )
    return lines


def _parts(seen: FirstLook) -> str:
    named = ((seen.plain, "8 bits"), (seen.integers, "16 or 32 bits"), (seen.floats, "floats"))
    return ", ".join(f"{count} of {name}" for count, name in named if count)


def _value(number: float) -> str:
    return f"{number:,.6g}" if abs(number) < 1e6 else f"{number:.6g}"
