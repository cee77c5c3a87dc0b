"""Finds labels that look wrong: confident learning (Northcutt, Jiang, Chuang, JAIR 2021).

The threshold t_k of a class is the mean probability that images labelled k get for k: how sure the
head usually is of that class. An image is assigned to the most probable of the classes whose
threshold it reaches; if that is not its label, the label is suspect. Because each class has its own
threshold, it does not matter that the head is surer of some classes than of others.

A head that is often wrong contradicts many labels that are right. So their number stands beside
the one that is expected if no label is wrong: labels are drawn from the held-out probabilities,
calibrated by a temperature, and go through the same rule. Whether labels are wrong is tested in
:mod:`headfit.study.reliability.label_noise`.

Suspects are for people to look at; nothing is ever deleted or changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields
from typing import Any

import numpy as np

from headfit.fitting.metrics import Floats, Ints
from headfit.study.reliability.calibration import scale
from headfit.study.reliability.confidence import generators
from headfit.study.reliability.label_noise import fit_label_noise
from headfit.util.csv_cells import csv_text

SUSPECTS_IN_RESULTS = 20


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


@dataclass(frozen=True)
class ExpectedSuspects:
    """How many labels look wrong where none is.

    Attributes:
        mean: number of such labels.
        p_value: of all labels being right.
    """

    mean: float
    p_value: float


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
    rows, best = _contradicted(probabilities, labels)
    labelled = probabilities[np.arange(len(labels)), labels]
    margins = probabilities[np.arange(len(labels)), best] - labelled
    order = rows[np.argsort(-margins[rows], kind="stable")]
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


def expect_suspects(
    probabilities: Floats, labels: Ints, groups: Ints | None = None, *, seed: int = 0
) -> ExpectedSuspects:
    """Count how many labels would look wrong if none were, by simulation.

    Args:
        probabilities: float64 (n, K), each image by models that did not see it.
        labels: int (n,).
        groups: int (n,), equal for images that belong together, which count as one in the test;
            None if each stands alone.
        seed: random seed of the simulation.
    """
    noise = fit_label_noise(probabilities, labels, groups)
    steps = scale(probabilities, noise.temperature).cumsum(axis=1)[:, :-1]
    counts = [
        len(_contradicted(probabilities, (steps <= rng.random((len(steps), 1))).sum(axis=1))[0])
        for rng in generators(probabilities.size, seed)
    ]
    return ExpectedSuspects(float(np.mean(counts)), noise.p_value)


def _contradicted(probabilities: Floats, labels: Ints) -> tuple[Ints, Ints]:
    """Give the images whose label looks wrong, and the class that each image (n,) looks like."""
    rows, classes = np.arange(len(labels)), probabilities.shape[1]
    labelled = probabilities[rows, labels]
    with np.errstate(invalid="ignore"):  # a class without images: nothing reaches its threshold
        thresholds = np.bincount(labels, labelled, classes) / np.bincount(labels, minlength=classes)
    reached = np.where(probabilities >= thresholds, probabilities, -1.0)
    best = reached.argmax(axis=1)
    return np.flatnonzero((reached[rows, best] >= 0) & (best != labels)), best


def suspects_csv(suspects: Sequence[Suspect]) -> str:
    """Give the content of ``suspects.csv``, with a header row."""
    rows = (
        [f"{value:.6f}" if isinstance(value, float) else value for value in astuple(suspect)]
        for suspect in suspects
    )
    return csv_text([[field.name for field in fields(Suspect)], *rows])
