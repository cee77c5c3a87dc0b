"""Finds labels that look wrong: confident learning (Northcutt, Jiang, Chuang, JAIR 2021).

The threshold t_k of a class is the mean probability that images labelled k get for k: how sure the
head usually is of that class. An image is assigned to the most probable of the classes whose
threshold it reaches; if that is not its label, the label is suspect. Because each class has its own
threshold, it does not matter that the head is surer of some classes than of others.

Suspects are for people to look at; nothing is ever deleted or changed.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields
from typing import Any

import numpy as np

from headfit.fitting.metrics import Floats, Ints


@dataclass(frozen=True)
class Suspect:
    """An image whose label may be wrong.

    Attributes:
        path: path of the image, as in the index.
        label: name of its class.
        suggested: name of the class that it looks like.
        p_label: probability of ``label``.
        p_suggested: probability of ``suggested``.
        score: ``p_suggested`` − ``p_label``, −1 to 1; higher is more suspect.
    """

    path: str
    label: str
    suggested: str
    p_label: float
    p_suggested: float
    score: float

    def to_dict(self) -> dict[str, Any]:
        """Give plain data that JSON can hold."""
        return asdict(self)


def find_suspects(
    probabilities: Floats, labels: Ints, classes: Sequence[str], paths: Sequence[str]
) -> list[Suspect]:
    """Find the labels that the head confidently contradicts, the most suspect first.

    Args:
        probabilities: float64 (n, K), each image by models that did not see it.
        labels: int (n,).
        classes: names of the K classes.
        paths: paths of the n images.
    """
    rows = np.arange(len(labels))
    images = np.bincount(labels, minlength=len(classes))
    labelled = probabilities[rows, labels]
    with np.errstate(invalid="ignore"):  # a class without images: nothing reaches its threshold
        thresholds = np.bincount(labels, weights=labelled, minlength=len(classes)) / images
    reached = np.where(probabilities >= thresholds, probabilities, -1.0)
    best = reached.argmax(axis=1)
    margins = probabilities[rows, best] - labelled
    order = np.flatnonzero((reached[rows, best] >= 0) & (best != labels))
    order = order[np.argsort(-margins[order], kind="stable")]
    return [
        Suspect(
            paths[i],
            classes[int(labels[i])],
            classes[int(best[i])],
            float(labelled[i]),
            float(probabilities[i, best[i]]),
            float(margins[i]),
        )
        for i in order.tolist()
    ]


def suspects_csv(suspects: Sequence[Suspect]) -> str:
    """Give the content of ``suspects.csv``, with a header row."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([field.name for field in fields(Suspect)])
    for suspect in suspects:
        *names, p_label, p_suggested, score = astuple(suspect)
        writer.writerow([*names, *(f"{value:.6f}" for value in (p_label, p_suggested, score))])
    return stream.getvalue()
