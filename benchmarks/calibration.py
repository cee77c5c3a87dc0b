"""Do the words, the tests, the intervals and the planning hold what they promise? By simulation.

python benchmarks/calibration.py --out calibration.jsonl           2,000 data sets a row
python benchmarks/calibration.py --sets 200 --only words           a first look at one table
python benchmarks/calibration.py --only "planted: 400" --sets 50   at one row

Rows of ``drawn_rows.py`` draw which images are right and take minutes; those of ``fitted_rows.py``
fit every head and take hours. With --out, data sets that the file holds already are not run again,
so that a long series can be interrupted, and continued with other --sets.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

# before numpy is loaded: each process has one thread, and works on data sets of its own
os.environ["OPENBLAS_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import drawn_rows
import fitted_rows
import target_rows
import trust_rows
from promises import Record, Section
from tables import machine

from headfit.fitting import threads

SECTIONS = [
    *drawn_rows.SECTIONS,
    *trust_rows.SECTIONS,
    *fitted_rows.SECTIONS,
    *target_rows.SECTIONS,
]
TOGETHER = 20  # data sets that a process takes at a time
NOTE = (
    "Rates are given with their Monte-Carlo standard error. In drawn rows, heads that are x apart "
    "make of an image x times as much as what they all see of it. In fitted rows ten dimensions "
    "carry signal and 30 more are blank (noise only) unless noted, and penalties are chosen again "
    "in every fold."
)
Found = dict[str, dict[str, list[Record]]]


def main() -> None:
    """Run what is not done yet, and print the tables."""
    args = _arguments()
    print(f"{machine()}\n")
    records = _read(args.out)
    jobs = list(_jobs(args.sets, args.only, records))
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
    print(_report(_by_row(args.sets, args.only, records)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=int, default=2000, help="data sets a row")
    parser.add_argument("--out", type=Path, help="JSON lines, appended to")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--only", default="", help="rows whose 'table: name' begins so")
    return parser.parse_args()


def _read(path: Path | None) -> list[Record]:
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def _chosen(only: str) -> Iterator[tuple[Section, str]]:
    for section in SECTIONS:
        for name in section.rows:
            if f"{section.name}: {name}".startswith(only):
                yield section, name


def _jobs(sets: int, only: str, known: list[Record]) -> Iterator[tuple[str, str, list[int]]]:
    """Yield table, row and numbers of the data sets that are to be drawn, some at a time."""
    done = {(record["table"], record["row"], record["number"]) for record in known}
    for section, name in _chosen(only):
        count = round(sets * section.rows[name].share)
        missing = [n for n in range(count) if (section.name, name, n) not in done]
        for start in range(0, len(missing), TOGETHER):
            yield section.name, name, missing[start : start + TOGETHER]


def _alone() -> None:
    threads.usable_cores = lambda: 1


def _examine_all(table: str, name: str, numbers: list[int]) -> list[Record]:
    (section,) = [each for each in SECTIONS if each.name == table]
    row = section.rows[name]
    return [
        {"table": table, "row": name, "number": number}
        | row.examine(zlib.crc32(f"{table}: {name}: {number}".encode()))
        for number in numbers
    ]


def _by_row(sets: int, only: str, records: list[Record]) -> Found:
    found: Found = {section.name: {name: [] for name in section.rows} for section in SECTIONS}
    chosen = {(section.name, name): section.rows[name] for section, name in _chosen(only)}
    for record in sorted(records, key=lambda record: record["number"]):
        row = chosen.get((record["table"], record["row"]))
        if row and record["number"] < round(sets * row.share):
            found[record["table"]][record["row"]].append(record)
    return found


def _report(found: Found) -> str:
    done = [section for section in SECTIONS if any(found[section.name].values())]
    texts = [NOTE, *(section.table(found[section.name]) for section in done)]
    if any(found["fitted family"].values()):
        texts.append(fitted_rows.CHOICE.table(found["fitted family"]))
    kept = [line for section in done for line in section.kept(found[section.name])]
    return "\n\n".join([*texts, "\n".join(kept)])


if __name__ == "__main__":
    main()
