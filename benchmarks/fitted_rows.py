"""What is said of data sets that go headfit's own way: folds, penalties, exact fits, tests, words.

See ``tests/simulations.py`` for where they come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from promises import WIDE, Promise, Record, Section, points, rate
from scipy import stats

from headfit.heads.chain import parse_head
from headfit.study.comparison import compare, selection
from simulations import (
    ALPHA,
    Outcome,
    World,
    cross_validated,
    naive_t,
    pooled_of,
    problem_of,
    simulate,
    true_scores,
)

AHEAD = ("necessary", "position_needed", "ahead")
BOOTSTRAPS = 1000
PLAIN = {"blank": 0, "signal": 0.3}


@dataclass(frozen=True)
class Fitted:
    """A kind of data set, cross-validated in one way.

    Attributes:
        world: where the data sets come from.
        repeats: R.
        folds: k.
        strengths: of the signal in each head's view; alike is a null.
        share: of the data sets that are asked for; less where each takes long.
    """

    world: World
    repeats: int
    folds: int
    strengths: tuple[float, ...] = (1.0, 1.0)
    share: float = 1.0

    def draw(self, seed: int) -> tuple[Outcome, list[np.ndarray]]:
        """Draw a data set and compare its heads; the views come along."""
        return simulate(
            self.world, seed, folds=self.folds, repeats=self.repeats, strengths=self.strengths
        )


class Null(Fitted):
    """Two equal heads."""

    def examine(self, seed: int) -> Record:
        """Note what every test says."""
        outcome, _ = self.draw(seed)
        alone = compare.corrected_t(outcome.lead(1), self.folds, 0.01)
        return {
            "p": outcome.difference(1).p_value,
            "folds": alone.p_value,
            "log_loss": outcome.difference(1, "log_loss").p_value,
            "brier": outcome.difference(1, "brier").p_value,
            "naive": naive_t(outcome.lead(1)).p_value,
            "bootstrap": _bootstrap(outcome, seed),
            "mcnemar": _mcnemar(outcome),
            "said": outcome.contrast().word in AHEAD,
        }


def _bootstrap(outcome: Outcome, seed: int) -> bool:
    """Whether 0 lies outside the 95 % of bootstraps over images of the out-of-fold difference."""
    labels = outcome.problem.targets.values
    weights = 1 / np.bincount(labels)[labels]
    correct = outcome.hits.right.mean(axis=1)
    lead = (correct[1] - correct[0]) * weights
    drawn = np.random.default_rng(seed).integers(len(lead), size=(BOOTSTRAPS, len(lead)))
    low, high = np.quantile(lead[drawn].sum(axis=1), [0.025, 0.975])
    return not low <= 0 <= high


def _mcnemar(outcome: Outcome) -> float:
    """McNemar's test on the out-of-fold predictions of the first repeat, mid-p."""
    one, other = outcome.hits.right[:, 0]
    fewer, more = sorted([int((one & ~other).sum()), int((other & ~one).sum())])
    if fewer == more:
        return 1.0
    binomial = stats.binom(fewer + more, 0.5)
    return float(2 * binomial.cdf(fewer) - binomial.pmf(fewer))


class Family(Fitted):
    """Nine equal heads."""

    def examine(self, seed: int) -> Record:
        """Note what is claimed of them, what they score, and what BBC-CV expects of the best."""
        outcome, _ = self.draw(seed)
        means, sizes = outcome.scores.mean(axis=1), np.arange(1, len(outcome.found) + 1)
        images = len(outcome.problem.targets)
        expected = selection.expected_score(outcome.weighted, sizes, images, seed=seed)
        return {
            "p": [outcome.difference(head).p_value for head in sizes[:-1]],
            "naive": [naive_t(outcome.lead(head)).p_value for head in sizes[:-1]],
            "said": outcome.contrast().word in AHEAD,
            "all": means.mean(),
            "best": means.max(),
            "expected": expected[0],
        }


class Apart(Fitted):
    """A weak and a strong view."""

    def examine(self, seed: int) -> Record:
        """Note the intervals, and what each head truly scores."""
        outcome, views = self.draw(seed)
        found, naive = outcome.difference(1), naive_t(outcome.lead(1))
        _, *score = compare.corrected_interval(
            outcome.scores[1], self.folds, lower=0, upper=1, floor=outcome.hits.score(1)
        )
        costs = np.array([1, 2])
        expected = selection.expected_score(
            outcome.weighted,
            costs,
            len(outcome.problem.targets),
            seed=seed,
            margins=compare.paired_se(outcome.scores, self.folds),
        )
        chosen = selection.cheapest_within_one_se(outcome.scores, costs, self.folds)
        return {
            "mean": found.mean,
            "difference": [found.low, found.high],
            "naive": [naive.low, naive.high],
            "score": score,
            "expected": compare.widened(expected, outcome.hits.score(chosen))[1:],
            "chosen": chosen,
            "truths": true_scores(self.world, outcome, views, self.strengths),
        }


@dataclass(frozen=True)
class Planted:
    """Maps of 6×6 with a pattern in one of four cells: where it lies says nothing of the class.

    Attributes:
        images: N.
        share: of the data sets that are asked for.
    """

    images: int
    repeats: int = 1
    folds: int = 10
    share: float = 1.0

    def examine(self, seed: int) -> Record:
        """Note the word, and what each head scores."""
        rng = np.random.default_rng(seed)
        labels = np.arange(self.images) % 2
        maps = np.maximum(rng.normal(size=(self.images, 6, 6, CHANNELS)), 0)
        cells = rng.integers(2, size=(2, self.images)) * 3 + 1
        maps[np.arange(self.images), *cells, labels] += 4
        problem = problem_of(labels, self.folds, self.repeats, seed)
        pooled = pooled_of(maps, PLANTED)
        outcome = cross_validated([(head, pooled) for head in PLANTED], problem)
        word = outcome.contrast([head.name for head in PLANTED]).word
        return {"word": word, "scores": outcome.scores.mean(axis=1).tolist()}


CHANNELS = 10
PLANTED = tuple(map(parse_head, ("gap", "gmp", "spp", "flatten")))


def _called(p_values: Sequence[float]) -> list[bool]:
    return [p < ALPHA for p in p_values]


def _null(records: list[Record]) -> list[str]:
    kinds = ("p", "folds", "naive")
    cells = [rate(_called([r[kind] for r in records])) for kind in kinds]
    cells.append(rate([record["bootstrap"] for record in records]))
    kinds = ("mcnemar", "log_loss", "brier")
    cells += [rate(_called([r[kind] for r in records])) for kind in kinds]
    return [*cells, rate([record["said"] for record in records])]


def _any_holm(records: list[Record], key: str) -> list[bool]:
    return [bool((compare.holm(np.array(r[key], float)) < ALPHA).any()) for r in records]


def _family(records: list[Record]) -> list[str]:
    alone = [any(_called(record["p"])) for record in records]
    kept = rate([record["said"] for record in records])
    return [kept, *(rate(_any_holm(records, key)) for key in ("p", "naive")), rate(alone)]


def _chosen(records: list[Record]) -> list[str]:
    columns = [np.array([record[key] for record in records]) for key in ("all", "best", "expected")]
    level, best, expected = columns
    return [points(level), points(best - level), points(expected - level)]


def _family_promises(row: object, records: list[Record]) -> Iterator[Promise]:
    yield Promise("said", [record["said"] for record in records], high=ALPHA)
    yield Promise("any of eight, with Holm's correction", _any_holm(records, "p"), high=ALPHA)


def _covered(records: list[Record]) -> dict[str, list[bool]]:
    """Whether each interval holds the truth, which is the mean over data sets."""
    truths = np.mean([record["truths"] for record in records], axis=0)
    lead = truths[1] - truths[0]
    aims = {"difference": lead, "naive": lead, "score": truths[1]}
    # an interval that is not known, nan, covers nothing
    held = {
        kind: [bool(record[kind][0] <= truth <= record[kind][1]) for record in records]
        for kind, truth in aims.items()
    }
    expected = [(record["expected"], truths[record["chosen"]]) for record in records]
    return held | {"expected": [bool(ends[0] <= truth <= ends[1]) for ends, truth in expected]}


def _apart(records: list[Record]) -> list[str]:
    truths = [record["truths"][1] - record["truths"][0] for record in records]
    means, held = [record["mean"] for record in records], _covered(records)
    kinds = ("difference", "naive", "score", "expected")
    return [points(truths), points(means), *(rate(held[kind]) for kind in kinds)]


def _apart_promises(row: object, records: list[Record]) -> Iterator[Promise]:
    held = _covered(records)
    for kind in ("difference", "score", "expected"):
        yield Promise(f"{kind} covered", held[kind], high=WIDE, low=0.95)


def _planted(records: list[Record]) -> list[str]:
    means = 100 * np.mean([record["scores"] for record in records], axis=0)
    words = [[record["word"] == word for record in records] for word in ("not_necessary", "ahead")]
    return [*(f"{mean:.1f}" for mean in means), *map(rate, words), rate(_false(records))]


def _false(records: list[Record]) -> list[bool]:
    return [record["word"] in AHEAD[:2] for record in records]


RARER = "150, 1×5, classes of 50, 30 and 20 %"
NULLS = {
    "150, 1×5": Null(World(), 1, 5),
    "150, 5×5": Null(World(), 5, 5),
    "150, 5×10": Null(World(), 5, 10),
    "150, 10×10, no blank dimensions": Null(World(**PLAIN), 10, 10, share=0.5),
    RARER: Null(World(shares=(0.5, 0.3, 0.2), **PLAIN), 1, 5),
    "400, 5×5, no blank dimensions": Null(World(400, **PLAIN), 5, 5),
    "400, 5×10, no blank dimensions": Null(World(400, **PLAIN), 5, 10, share=0.5),
    "400, 5×5, 150 blank dimensions": Null(World(400, blank=150), 5, 5, share=0.5),
    "150, 5×5, 600 blank dimensions": Null(World(blank=600, signal=0.6), 5, 5, share=0.5),
}
NINE = (1.0,) * 9
FAMILIES = {
    "9 equal heads, 150, 1×5": Family(World(shared=0.0, **PLAIN), 1, 5, NINE),
    "9 equal heads, 150, 5×5": Family(World(shared=0.0, **PLAIN), 5, 5, NINE, share=0.5),
    "9 heads, no signal, 150, 1×5": Family(World(blank=0, signal=0.0), 1, 5, NINE, share=0.5),
}
APART = {
    "150, 1×5, weaker view": Apart(World(), 1, 5, (0.75, 1.0)),
    "150, 5×10, weaker view": Apart(World(), 5, 10, (0.75, 1.0)),
}
PLANTINGS = {"400, 1×10": Planted(400)}

SECTIONS = [
    Section(
        "fitted null",
        "Two equal heads, called different at α = .05:",
        NULLS,
        "N, repeats × folds | headfit's test | corrected t | naive t | out-of-fold bootstrap | "
        "McNemar | corrected t, log-loss | corrected t, Brier | flatten said to be ahead",
        _null,
        lambda row, records: [
            Promise("called different", _called([r["p"] for r in records]), high=ALPHA),
            Promise("said", [record["said"] for record in records], high=ALPHA),
        ],
    ),
    Section(
        "fitted family",
        "Nine equal heads:",
        FAMILIES,
        "heads, N, repeats × folds | flatten said to be ahead | any of eight called different, "
        "Holm | likewise, naive t | any, without Holm's correction",
        _family,
        _family_promises,
    ),
    Section(
        "fitted coverage",
        "The 95 % interval holds the truth:",
        APART,
        "N, repeats × folds | true difference | mean estimate | difference | naive t | score | "
        "expected score",
        _apart,
        _apart_promises,
    ),
    Section(
        "planted",
        "Position says nothing, but flatten is ahead of gap; balanced accuracy in %:",
        PLANTINGS,
        "N, repeats × folds | gap | gmp | spp | flatten | *not_necessary* | *ahead* | *necessary*, "
        "*position_needed*",
        _planted,
        lambda row, records: [Promise("said", _false(records), high=ALPHA)],
    ),
]
CHOICE = Section(
    "choice",
    "Balanced accuracy of the heads, and points above it:",
    FAMILIES,
    "heads, N, repeats × folds | of the heads | the best of nine | BBC-CV",
    _chosen,
    lambda row, records: [],
)
