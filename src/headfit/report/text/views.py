"""What is said of augmented views."""

from __future__ import annotations

from headfit.images.targets import CLASS, LABELS, NUMBER
from headfit.report.text.metrics import METRICS
from headfit.study.comparison.label_change import LabelChange

CHANGES = {
    "hflip": "Flipping left to right",
    "vflip": "Flipping top to bottom",
    "rot90": "Turning by 90 degrees",
}
_SCORED = {CLASS: "accuracy", LABELS: "label_accuracy", NUMBER: "r2"}


def label_change_warning(step: str, change: LabelChange) -> str:
    """Warn of a step of an augmentation that changes what the images show.

    Args:
        step: ``hflip``, ``vflip`` or ``rot90``.
        change: what it does to the score of a frozen head.
    """
    metric = METRICS[_SCORED[change.kind]]
    return (
        f"WARNING: {CHANGES[step]} lowers the {metric.name} of the frozen head from "
        f"{metric.plain(change.plain)} to {metric.value(change.changed)}. Leave {step} out of "
        f"`augment`."
    )
