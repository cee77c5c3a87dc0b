"""Do the tests, the interval and the expected score hold what they promise? By simulation.

python benchmarks/calibration.py --out calibration.jsonl          2,000 data sets, 25 minutes
python benchmarks/calibration.py --sets 200                       a first look

Every data set goes headfit's own way: folds, nested choice of the penalty, exact fits, tests,
verdict. See ``tests/simulations.py`` for where data sets come from. With --out, data sets that the
file holds already are not run again, so that a long series can be interrupted.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# before numpy is loaded: each process has one thread, and works on data sets of its own
os.environ["OPENBLAS_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import numpy as np
from scipy import stats
from tables import machine, markdown

from headfit.fitting import threads
from headfit.study.comparison import compare
from simulations import ALPHA, Outcome, World, naive_t, simulate, true_difference

Record = dict[str, Any]
BOOTSTRAPS = 1000
TOGETHER = 20  # data sets that a process takes at a time
WORLDS = (
    "Ten dimensions carry signal; 30 more are blank (noise only) unless noted. Rates are given "
    "with their Monte-Carlo standard error. Penalties are chosen again in every fold."
)
PLAIN = {"blank": 0, "signal": 0.3}


@dataclass(frozen=True)
class Row:
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


NULLS = {
    "150, 1×5": Row(World(), 1, 5),
    "150, 5×5": Row(World(), 5, 5),
    "150, 5×10": Row(World(), 5, 10),
    "150, 10×10, no blank dimensions": Row(World(**PLAIN), 10, 10, share=0.5),
    "150, 1×5, classes of 50, 30 and 20 %": Row(World(shares=(0.5, 0.3, 0.2), **PLAIN), 1, 5),
    "400, 5×5, no blank dimensions": Row(World(400, **PLAIN), 5, 5),
    "400, 5×10, no blank dimensions": Row(World(400, **PLAIN), 5, 10, share=0.5),
    "400, 5×5, 150 blank dimensions": Row(World(400, blank=150), 5, 5, share=0.5),
    "150, 5×5, 600 blank dimensions": Row(World(blank=600, signal=0.6), 5, 5, share=0.5),
}
NINE = (1.0,) * 9
FAMILIES = {
    "9 equal heads, 150, 1×5": Row(World(shared=0.0, **PLAIN), 1, 5, NINE),
    "9 equal heads, 150, 5×5": Row(World(shared=0.0, **PLAIN), 5, 5, NINE, share=0.5),
    "9 heads, no signal, 150, 1×5": Row(World(blank=0, signal=0.0), 1, 5, NINE, share=0.5),
}
APART = {
    "150, 1×5, weaker view": Row(World(), 1, 5, (0.75, 1.0)),
    "150, 5×10, weaker view": Row(World(), 5, 10, (0.75, 1.0)),
}
ROWS = {**NULLS, **FAMILIES, **APART}


def main() -> None:
    """Run what is not done yet, and print the tables."""
    args = _arguments()
    print(f"{machine()}\n")
    records = _read(args.out)
    jobs = list(_jobs(args.sets, records))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(args.workers, context, initializer=_alone) as pool:
        futures = [pool.submit(_examine_all, *job) for job in jobs]
        for number, done in enumerate(as_completed(futures), 1):
            found = done.result()
            records += found
            if args.out:
                with args.out.open("a", encoding="utf-8") as stream:
                    stream.writelines(json.dumps(record) + "\n" for record in found)
            if number % 50 == 0:
                print(f"{number} of {len(jobs)} pieces", file=sys.stderr, flush=True)
    print(_tables(_by_row(args.sets, records)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=2000, help="data sets a row")
    parser.add_argument("--out", type=Path, help="JSON lines, appended to")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    return parser.parse_args()


def _read(path: Path | None) -> list[Record]:
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def _jobs(sets: int, known: list[Record]) -> Iterator[tuple[str, list[int]]]:
    """Yield row and numbers of the data sets that are to be drawn, some at a time."""
    done = {(record["row"], record["number"]) for record in known}
    for name, row in ROWS.items():
        missing = [n for n in range(round(sets * row.share)) if (name, n) not in done]
        for start in range(0, len(missing), TOGETHER):
            yield name, missing[start : start + TOGETHER]


def _alone() -> None:
    threads.usable_cores = lambda: 1


def _examine_all(name: str, numbers: list[int]) -> list[Record]:
    return [_examine(name, number) for number in numbers]


def _examine(name: str, number: int) -> Record:
    """Draw a data set, compare its heads, and note what every test says."""
    row = ROWS[name]
    seed = zlib.crc32(f"{name}: {number}".encode())
    outcome, views = simulate(
        row.world, seed, folds=row.folds, repeats=row.repeats, strengths=row.strengths
    )
    heads = range(1, len(views))
    found, naive, contrast = outcome.difference(1), naive_t(outcome.lead(1)), outcome.contrast()
    record: Record = {
        "row": name,
        "number": number,
        "p": [outcome.difference(head).p_value for head in heads],
        "log_loss": outcome.difference(1, "log_loss").p_value,
        "brier": outcome.difference(1, "brier").p_value,
        "naive": [naive_t(outcome.lead(head)).p_value for head in heads],
        "word": contrast.word,
        "interval": [found.mean, found.low, found.high],
        "naive_interval": [naive.low, naive.high],
    }
    if name in NULLS:
        record["bootstrap"] = _bootstrap(outcome, seed)
        record["mcnemar"] = _mcnemar(outcome)
    if name in FAMILIES:
        record |= _selection(outcome, seed)
    if name in APART:
        record["truth"] = true_difference(row.world, outcome, views, row.strengths)
    return record


def _bootstrap(outcome: Outcome, seed: int) -> bool:
    """Whether 0 lies outside the 95 % of bootstraps over images of the out-of-fold difference."""
    labels = outcome.problem.targets.values
    weights = 1 / np.bincount(labels)[labels]
    lead = (outcome.correct[1] - outcome.correct[0]) * weights
    drawn = np.random.default_rng(seed).integers(len(lead), size=(BOOTSTRAPS, len(lead)))
    low, high = np.quantile(lead[drawn].sum(axis=1), [0.025, 0.975])
    return not low <= 0 <= high


def _mcnemar(outcome: Outcome) -> float:
    """McNemar's test on the out-of-fold predictions of the first repeat, mid-p."""
    labels = outcome.problem.targets.values
    one, other = (f.probabilities[0].argmax(axis=1) == labels for f in outcome.found)
    fewer, more = sorted([int((one & ~other).sum()), int((other & ~one).sum())])
    if fewer == more:
        return 1.0
    binomial = stats.binom(fewer + more, 0.5)
    return float(2 * binomial.cdf(fewer) - binomial.pmf(fewer))


def _selection(outcome: Outcome, seed: int) -> Record:
    """What all heads score in the mean, what the best of them does, and what BBC-CV expects."""
    means = outcome.scores.mean(axis=1)
    sizes = np.arange(1, len(means) + 1)
    expected = compare.expected_score(
        outcome.correct, outcome.problem.targets.values, sizes, seed=seed
    )
    return {"all": means.mean(), "best": means.max(), "expected": expected[0]}


def _by_row(sets: int, records: list[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {name: [] for name in ROWS}
    for record in records:
        if record["number"] < round(sets * ROWS[record["row"]].share):
            found[record["row"]].append(record)
    return found


def _tables(found: dict[str, list[Record]]) -> str:
    head = ["N, repeats × folds", "sets", "corrected t", "naive t", "out-of-fold bootstrap"]
    head += ["McNemar", "corrected t, log-loss", "corrected t, Brier", "verdict for flatten"]
    texts = [WORLDS, "Two equal heads, called different at α = .05:"]
    texts.append(markdown(head, [_null(name, found[name]) for name in NULLS]))
    texts.append("Any of eight heads that are equal to gap, called different:")
    head = ["heads, N, repeats × folds", "sets", "corrected t, Holm", "corrected t alone"]
    head += ["naive t, Holm"]
    texts.append(markdown(head, [_family(name, found[name]) for name in FAMILIES]))
    texts.append("The 95 % interval of a true difference covers it:")
    head = ["N, repeats × folds", "sets", "true difference", "mean estimate", "corrected", "naive"]
    texts.append(markdown(head, [_apart(name, found[name]) for name in APART]))
    texts.append("Balanced accuracy, points above that of the heads:")
    head = ["heads, N, repeats × folds", "sets", "of the heads", "the best of nine", "BBC-CV"]
    texts.append(markdown(head, [_chosen(name, found[name]) for name in FAMILIES]))
    texts.append("\n".join(_promises(found)))
    return "\n\n".join(texts)


def _null(name: str, records: list[Record]) -> list[str]:
    naive = [record["naive"][0] for record in records]
    cells = [_rate(_called([r["p"][0] for r in records])), _rate(_called(naive))]
    cells.append(_rate([record["bootstrap"] for record in records]))
    cells += [_rate(_called([r[key] for r in records])) for key in ("mcnemar", "log_loss", "brier")]
    cells.append(_rate([_wins(record) for record in records]))
    return [name, f"{len(records):,}", *cells]


def _wins(record: Record) -> bool:
    return record["word"] in ("necessary", "position_needed")


def _family(name: str, records: list[Record]) -> list[str]:
    alone = [any(_called(record["p"])) for record in records]
    cells = [_rate(_any_holm(records, key)) for key in ("p", "naive")]
    return [name, f"{len(records):,}", cells[0], _rate(alone), cells[1]]


def _any_holm(records: list[Record], key: str) -> list[bool]:
    return [bool((compare.holm(np.array(r[key], float)) < ALPHA).any()) for r in records]


def _apart(name: str, records: list[Record]) -> list[str]:
    truths = [record["truth"] for record in records]
    means = [record["interval"][0] for record in records]
    covered = _rate(_covered(records, "interval")), _rate(_covered(records, "naive_interval"))
    return [name, f"{len(records):,}", _points(truths), _points(means), *covered]


def _covered(records: list[Record], key: str) -> list[bool]:
    truth = np.mean([record["truth"] for record in records])
    # an interval that is not known, nan, covers nothing
    return [bool(record[key][-2] <= truth <= record[key][-1]) for record in records]


def _chosen(name: str, records: list[Record]) -> list[str]:
    columns = [np.array([record[key] for record in records]) for key in ("all", "best", "expected")]
    level, best, expected = columns
    above = _points(best - level), _points(expected - level)
    return [name, f"{len(records):,}", _points(level), *above]


def _called(p_values: Sequence[float]) -> list[bool]:
    return [p < ALPHA for p in p_values]


def _rate(hits: Sequence[bool]) -> str:
    """A share and its Monte-Carlo standard error."""
    if not hits:
        return ""
    share = float(np.mean(hits))
    return f"{share:.3f} ± {math.sqrt(share * (1 - share) / len(hits)):.3f}"


def _points(values: Sequence[float] | np.ndarray) -> str:
    """A mean in points and its Monte-Carlo standard error."""
    if len(values) < 2:
        return ""
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    return f"{100 * np.mean(values):.2f} ± {100 * error:.2f}"


def _promises(found: dict[str, list[Record]]) -> Iterator[str]:
    """Hold each rate that may be .05 against the most that 95 % of samples show at .05.

    Of 2,000 that is .058, and .942 for the interval.
    """
    for name, records in found.items():
        if not records:
            continue
        if name in NULLS:
            what, wrong = "false positives", _called([record["p"][0] for record in records])
        elif name in FAMILIES:
            what, wrong = "any false positive of eight", _any_holm(records, "p")
        else:
            what, wrong = "interval misses", [not hit for hit in _covered(records, "interval")]
        most = stats.binom.ppf(0.95, len(records), ALPHA) / len(records)
        kept = "kept" if np.mean(wrong) <= most else "BROKEN"
        yield f"- {name}: {what} {np.mean(wrong):.3f}, at most {most:.3f}: {kept}"


if __name__ == "__main__":
    main()
