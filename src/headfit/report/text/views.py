"""What is said of augmented views."""

from __future__ import annotations

from headfit.report.text.numbers import percent
from headfit.study.comparison.label_change import LabelChange

CHANGES = {
    "hflip": "Flipping left to right",
    "vflip": "Flipping top to bottom",
    "rot90": "Turning by 90 degrees",
}


def label_change_warning(step: str, change: LabelChange) -> str:
    """Warn of a step of an augmentation that changes what the images show.

    Args:
        step: ``hflip``, ``vflip`` or ``rot90``.
        change: what it does to the accuracy of a frozen head.
    """
    return (
        f"WARNING: {CHANGES[step]} lowers the accuracy of the frozen head from "
        f"{percent(change.plain)} to {percent(change.changed)} %. Leave {step} out of `augment`."
    )
