"""Do the intervals of classes and of prediction sets hold the truth? On drawn probabilities."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from promises import WIDE, Promise, Record, Section, rate
from scipy import special

from drawn import REPEATED, REPEATS
from headfit.study.protocol.splits import make_splits
from headfit.study.reliability.conformal import conform
from headfit.study.reliability.per_class import report_classes

ALL = 200_000  # images
FEW = 50  # images (groups) of a class, which leave an exact interval wide


@dataclass(frozen=True)
class Trust:
    """Probabilities of classes that are all as easy.

    Attributes:
        images: N.
        classes: K.
        lead: of the logit of the label, in deviations of each logit.
        together: images of a group, which have their noise in common.
        share: of the data sets that are asked for.
    """

    images: int
    classes: int = 3
    lead: float = 1.5
    together: int = 1
    share: float = 1.0

    def examine(self, seed: int) -> Record:
        """Note whether the intervals hold the recall of each class, and the coverage of new sets.

        That is what the threshold found here covers of all images there could be.
        """
        rng, units = np.random.default_rng(seed), self.images // self.together
        labels = np.repeat(np.arange(units) % self.classes, self.together)
        groups = np.arange(units).repeat(self.together)
        probabilities = self.predict(rng, labels, groups, REPEATS)
        splits = make_splits(labels, folds=10, repeats=REPEATS, seed=seed, groups=groups)
        found = conform(probabilities, labels, splits.assignment, groups)
        names = [str(label) for label in range(self.classes)]
        rows = report_classes(probabilities, labels, names, groups)
        scores, first = _all(self)
        recall, coverage = first.mean(), (first | (scores <= found.quantile)).mean()
        return {
            "recall": [bool(row.recall_low <= recall <= row.recall_high) for row in rows],
            "coverage": found.coverage,
            "truth": float(coverage),
            "held": bool(found.coverage_low <= coverage <= found.coverage_high),
        }

    def predict(
        self, rng: np.random.Generator, labels: np.ndarray, groups: np.ndarray, repeats: int
    ) -> np.ndarray:
        """Draw probabilities, float64 (repeats, n, K)."""
        shared = rng.normal(size=(groups[-1] + 1, self.classes))[groups]
        noise = shared + REPEATED * rng.normal(size=(repeats, len(labels), self.classes))
        lead = self.lead * np.sqrt(1 + REPEATED**2)
        logits = noise + lead * (labels[:, None] == np.arange(self.classes))
        return special.softmax(logits, axis=2)


@functools.cache
def _all(row: Trust) -> tuple[np.ndarray, np.ndarray]:
    """Give the scores of very many images, and whether the label is the most probable."""
    labels = np.arange(ALL) % row.classes
    (p,) = row.predict(np.random.default_rng(0), labels, np.arange(ALL), 1)
    return 1 - p[np.arange(ALL), labels], p.argmax(axis=1) == labels


def _recalls(records: list[Record]) -> list[bool]:
    return [held for record in records for held in record["recall"]]


def _sets(records: list[Record]) -> list[bool]:
    return [record["held"] for record in records]


def _promises(row: Trust, records: list[Record]) -> Iterator[Promise]:
    most = WIDE if row.images > FEW * row.classes * row.together else 1.0
    yield Promise("recall covered", _recalls(records), high=most, low=0.95)
    yield Promise("coverage of sets covered", _sets(records), high=most, low=0.95)


def _cells(records: list[Record]) -> list[str]:
    means = [100 * np.mean([record[key] for record in records]) for key in ("coverage", "truth")]
    return [rate(_recalls(records)), *(f"{mean:.1f}" for mean in means), rate(_sets(records))]


ROWS = {
    "60 images": Trust(60),
    "150 images": Trust(150),
    "400 images": Trust(400),
    "400 images, ten classes": Trust(400, 10, 2.0),
    "400 images in groups of 4": Trust(400, together=4),
    "600 images in groups of 20": Trust(600, together=20),
}
SECTIONS = [
    Section(
        "trust",
        "The 95 % interval of a class's recall, and of the coverage of prediction sets, holds it:",
        ROWS,
        "images | recall | measured coverage, % | true coverage, % | coverage",
        _cells,
        _promises,
    )
]
