"""What is said of images with several labels, and with numbers, that go headfit's own way.

See ``tests/simulations.py`` for where they come from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from promises import Promise, Record, Section, rate

from simulations import ALPHA, OtherWorld, naive_t, simulate, true_scores

AHEAD = ("necessary", "position_needed", "ahead")


@dataclass(frozen=True)
class Null:
    """Two equal heads.

    Attributes:
        world: where the data sets come from.
        repeats: R.
        folds: k.
        share: of the data sets that are asked for; less where each takes long.
    """

    world: OtherWorld
    repeats: int
    folds: int
    share: float = 1.0

    def examine(self, seed: int) -> Record:
        """Note what the tests say."""
        outcome, _ = simulate(self.world, seed, folds=self.folds, repeats=self.repeats)
        return {
            "p": outcome.difference(1).p_value,
            "naive": naive_t(outcome.lead(1)).p_value,
            "said": outcome.contrast().word in AHEAD,
            "score": float(outcome.scores.mean()),
        }


@dataclass(frozen=True)
class Apart:
    """A weak and a strong view; see :class:`Null`."""

    world: OtherWorld
    repeats: int
    folds: int
    share: float = 1.0
    strengths: tuple[float, float] = (0.75, 1.0)

    def examine(self, seed: int) -> Record:
        """Note the intervals, and what each head truly scores."""
        given = {"folds": self.folds, "repeats": self.repeats, "strengths": self.strengths}
        outcome, views = simulate(self.world, seed, **given)
        found, naive = outcome.difference(1), naive_t(outcome.lead(1))
        return {
            "mean": found.mean,
            "difference": [found.low, found.high],
            "naive": [naive.low, naive.high],
            "score": outcome.score(1),
            "truths": true_scores(self.world, outcome, views, self.strengths),
        }


def _called(records: list[Record], kind: str) -> list[bool]:
    return [record[kind] < ALPHA for record in records]


def _null(records: list[Record]) -> list[str]:
    score = f"{np.mean([record['score'] for record in records]):.2f}"
    said = rate([record["said"] for record in records])
    return [score, *(rate(_called(records, kind)) for kind in ("p", "naive")), said]


def _covered(records: list[Record]) -> dict[str, list[bool]]:
    """Whether each interval holds the truth, which is the mean over data sets."""
    truths = np.mean([record["truths"] for record in records], axis=0)
    aims = {"difference": truths[1] - truths[0], "score": truths[1]}
    aims["naive"] = aims["difference"]
    return {
        kind: [bool(record[kind][0] <= truth <= record[kind][1]) for record in records]
        for kind, truth in aims.items()
    }


def _apart(records: list[Record]) -> list[str]:
    truths = np.mean([record["truths"] for record in records], axis=0)
    held, mean = _covered(records), np.mean([record["mean"] for record in records])
    cells = [f"{truths[1] - truths[0]:.3f}", f"{mean:.3f}"]
    return [*cells, *(rate(held[kind]) for kind in ("difference", "naive", "score"))]


def _apart_promises(row: object, records: list[Record]) -> Iterator[Promise]:
    held = _covered(records)
    for kind in ("difference", "score"):
        # as wide as at the ceiling, where images are counted: no promise that it is not wider
        yield Promise(f"{kind} covered", held[kind], high=1.0, low=0.95)


def _numbers(**change: float) -> OtherWorld:
    return OtherWorld("number", **change)  # type: ignore[arg-type]


def _labels(**change: float) -> OtherWorld:
    return OtherWorld("labels", **{"outputs": 3, **change})  # type: ignore[arg-type]


NULLS = {
    "two numbers, 150, 1×5": Null(_numbers(), 1, 5),
    "two numbers, 150, 5×5": Null(_numbers(), 5, 5),
    "two numbers, 150, 5×10": Null(_numbers(), 5, 10),
    "two numbers, 150, 5×10, strong signal": Null(_numbers(signal=1.5), 5, 10),
    "one number, 150, 5×10": Null(_numbers(outputs=1), 5, 10),
    "two numbers, 150, 5×10, 300 blank": Null(_numbers(blank=300, signal=1.5), 5, 10, share=0.5),
    "two numbers, 150, 5×10, none shared": Null(_numbers(shared=0.0), 5, 10, share=0.5),
    "two numbers, 400, 5×10": Null(_numbers(images=400), 5, 10, share=0.5),
    "three labels, 150, 1×5": Null(_labels(), 1, 5, share=0.5),
    "three labels, 150, 5×5": Null(_labels(), 5, 5, share=0.5),
    "three labels, 150, 5×10": Null(_labels(), 5, 10, share=0.25),
    "three rare labels, 400, 5×5": Null(_labels(images=400, rarity=1.5), 5, 5, share=0.25),
}
APART = {
    "two numbers, 150, 1×5": Apart(_numbers(), 1, 5, share=0.5),
    "two numbers, 150, 5×10": Apart(_numbers(), 5, 10, share=0.5),
    "two numbers, 150, 5×10, strong signal": Apart(_numbers(signal=1.5), 5, 10, share=0.5),
    "three labels, 150, 1×5": Apart(_labels(), 1, 5, share=0.25),
    "three labels, 150, 5×10": Apart(_labels(), 5, 10, share=0.1),
}
SECTIONS = [
    Section(
        "targets null",
        "Several labels and numbers, two equal heads, called different at α = .05:",
        NULLS,
        "target, N, repeats × folds | score | headfit's test | naive t | flatten said to be ahead",
        _null,
        lambda row, records: [
            Promise("called different", _called(records, "p"), high=ALPHA),
            Promise("said", [record["said"] for record in records], high=ALPHA),
        ],
    ),
    Section(
        "targets coverage",
        "Several labels and numbers, the 95 % interval holds the truth:",
        APART,
        "target, N, repeats × folds | true difference | mean estimate | difference | naive t | "
        "score",
        _apart,
        _apart_promises,
    ),
]
