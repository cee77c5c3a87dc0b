"""What a row of predictions holds, by the kind of the model: columns of a table, or an object."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from headfit.images.targets import CLASS, LABELS, NUMBER
from headfit.model.prediction import Prediction

Names = Sequence[str]
TEXT, TEXTS, FLOAT32, FLOAT64 = "text", "texts", "float32", "float64"


class Column(NamedTuple):
    """A column beside those of numbers.

    Attributes:
        name: its title.
        type: one of ``TEXT``, ``TEXTS``, ``FLOAT64``.
        read: gives the cell of a prediction whose file could be read; None if it is empty.
    """

    name: str
    type: str
    read: Callable[[Prediction, Names], Any]


class Layout(NamedTuple):
    """The columns of one kind, between the path and what all kinds have.

    Attributes:
        before: columns before those of numbers.
        prefixes: columns of numbers, one with each prefix for each name: ``p_cat``.
        type: of these, ``FLOAT32`` or ``FLOAT64``.
        digits: how CSV writes them, a format.
        numbers: gives them, float64 (names × prefixes,), nan where there is none.
        after: columns after them.
        record: gives the object of a prediction without its path, outlier and error, of the most
            probable so many; None for a file that cannot be read.
        mentioned: names of what was predicted, to be counted.
    """

    before: tuple[Column, ...]
    prefixes: tuple[str, ...]
    type: str
    digits: str
    numbers: Callable[[Prediction], np.ndarray]
    after: tuple[Column, ...]
    record: Callable[[Prediction, Names, int], dict[str, Any]]
    mentioned: Callable[[Prediction, Names], Sequence[str]]

    def titles(self, names: Names) -> list[str]:
        """Name the columns of numbers."""
        return [f"{prefix}_{name}" for name in names for prefix in self.prefixes]


def _probabilities(prediction: Prediction) -> np.ndarray:
    assert prediction.probabilities is not None
    return prediction.probabilities


def _best(prediction: Prediction, names: Names) -> str:
    return names[int(_probabilities(prediction).argmax())]


def _class_record(prediction: Prediction, names: Names, top: int) -> dict[str, Any]:
    p = prediction.probabilities
    order = [] if p is None else np.argsort(-p, kind="stable")[:top].tolist()
    best = [{"class": names[i], "probability": float(p[i])} for i in order if p is not None]
    return {
        "class": best[0]["class"] if best else None,
        "probability": best[0]["probability"] if best else None,
        "top": best,
        "calibrated": prediction.calibrated,
        "set": None if prediction.prediction_set is None else list(prediction.prediction_set),
    }


def _label_record(prediction: Prediction, names: Names, top: int) -> dict[str, Any]:
    """List the labels that the image has, and the most probable ones."""
    p, has, calibrated = (
        prediction.probabilities,
        prediction.labels or (),
        prediction.calibrated_labels,
    )
    order = [] if p is None else np.argsort(-p, kind="stable").tolist()
    entries = [
        {
            "label": names[k],
            "probability": float(p[k]),
            "calibrated": None if calibrated is None else float(calibrated[k]),
            "present": names[k] in has,
        }
        for place, k in enumerate(order)
        if p is not None and (place < top or names[k] in has)
    ]
    return {"present": None if p is None else list(has), "labels": entries}


def _number_record(prediction: Prediction, names: Names, top: int) -> dict[str, Any]:
    del top  # there are few
    ends = [
        [None] * len(names)
        if each is None
        else [value if math.isfinite(value) else None for value in each.tolist()]
        for each in (prediction.values, prediction.low, prediction.high)
    ]
    if prediction.values is None:
        return {"numbers": None}
    rows = zip(names, *ends, strict=True)
    return {"numbers": {n: {"value": v, "low": low, "high": high} for n, v, low, high in rows}}


def _with_ends(prediction: Prediction) -> np.ndarray:
    values = prediction.values
    assert values is not None
    missing = np.full(len(values), np.nan)
    low, high = (missing if each is None else each for each in (prediction.low, prediction.high))
    together = np.stack([values, low, high], axis=1).ravel()
    together[~np.isfinite(together)] = np.nan  # an interval without an end
    return together


LAYOUTS = {
    CLASS: Layout(
        before=(Column("predicted", TEXT, _best),),
        prefixes=("p",),
        type=FLOAT32,
        digits=".6f",
        numbers=_probabilities,
        after=(
            Column("calibrated", FLOAT64, lambda prediction, _: prediction.calibrated),
            Column("set", TEXTS, lambda prediction, _: prediction.prediction_set),
        ),
        record=_class_record,
        mentioned=lambda prediction, names: [_best(prediction, names)],
    ),
    LABELS: Layout(
        before=(Column("labels", TEXTS, lambda prediction, _: prediction.labels),),
        prefixes=("p",),
        type=FLOAT32,
        digits=".6f",
        numbers=_probabilities,
        after=(),
        record=_label_record,
        mentioned=lambda prediction, _: prediction.labels or (),
    ),
    NUMBER: Layout(
        before=(),
        prefixes=("value", "low", "high"),
        type=FLOAT64,
        digits=".7g",
        numbers=_with_ends,
        after=(),
        record=_number_record,
        mentioned=lambda *_: (),
    ),
}
"""By the kind of the model."""
