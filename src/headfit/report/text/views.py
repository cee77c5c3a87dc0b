"""What is said of augmented views."""

from __future__ import annotations

from headfit.images.targets import CLASS, NUMBER
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
        change: what it does to the score of a frozen head.
    """
    if change.kind == NUMBER:
        what, ends = "R²", f"{change.plain:.2f} to {change.changed:.2f}"
    else:
        what = "accuracy" if change.kind == CLASS else "accuracy over images and labels"
        ends = f"{percent(change.plain)} to {percent(change.changed)} %"
    return (
        f"WARNING: {CHANGES[step]} lowers the {what} of the frozen head from {ends}. Leave {step} "
        f"out of `augment`."
    )
