"""Time, memory and disk of a comparison as images and classes grow, with fitted exponents.

python benchmarks/scale.py --max 2000                      the embedded backbone
python benchmarks/scale.py --backbone MobileNet --weights FILE --out scale.jsonl

Each size runs in a process of its own. With --out, a size that the file holds already is not run
again, so that a long series can be interrupted.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import fresh
import numpy as np
from interleave import package_version
from photographs import classes_of_photographs
from tables import machine, markdown

SIZES = (500, 1000, 2000, 5000, 10000, 20000)
CLASSES = (2, 10, 100)
USUAL_CLASSES, SIZE_OF_CLASSES = 10, 2000
SMALL = 60  # images of the run that shows what a pass costs before its first image
Record = dict[str, Any]


def main() -> None:
    """Run what is not done yet, and print the tables."""
    args = _arguments()
    weights = Path(args.weights)
    options = {
        "backbone": args.backbone,
        "weights": str(weights.resolve()) if weights.exists() else args.weights,
        "heads": args.heads,
        "folds": args.folds,
        "repeats": args.repeats,
    }
    print(machine())
    print(f"{args.backbone}; {args.heads}; {args.repeats} × {args.folds} folds\n")
    done = _read(args.out, options)
    with tempfile.TemporaryDirectory(dir=args.scratch) as place:
        home = str(Path(place) / "home")
        for count, classes in _cases(args.max, done):
            record = _run(Path(place), home, count, classes, options)
            done.append(record)
            if args.out:
                with args.out.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps({**record, "options": options}) + "\n")
    print(_table(done))
    print("\n" + _exponents(done))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--heads", default=",".join(fresh.LINEAR_HEADS))
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument(
        "--max", type=int, default=SIZES[-1], help="leave out more images than this"
    )
    parser.add_argument("--out", type=Path, help="JSON lines, appended to")
    parser.add_argument("--scratch", type=Path, help="where images and maps lie for a while")
    return parser.parse_args()


def _cases(most: int, done: list[Record]) -> list[tuple[int, int]]:
    """List the sizes that are to be run: images and classes."""
    cases = [(SMALL, USUAL_CLASSES)]
    cases += [(count, USUAL_CLASSES) for count in SIZES]
    cases += [(SIZE_OF_CLASSES, classes) for classes in CLASSES if classes != USUAL_CLASSES]
    known = {(record["images"], record["classes"]) for record in done}
    return [case for case in cases if case[0] <= most and case not in known]


def _run(place: Path, home: str, count: int, classes: int, options: dict[str, Any]) -> Record:
    folder = place / f"images-{count}-{classes}"
    print(f"{count} images of {classes} classes: making them …", flush=True)
    classes_of_photographs(folder, count, classes)
    if not (Path(home) / "graphs").exists():  # built once for all sizes
        fresh.compare({"folder": str(folder)}, {**options, "heads": "gap"}, home)
    fresh.forget(home)
    found = fresh.compare({"folder": str(folder)}, options, home)
    timings = found["timings"]
    record = {
        "images": count,
        "classes": classes,
        "pass": timings["decode_and_extract"],
        "heads": timings["heads"],
        "each": {name: head["seconds"] for name, head in found["heads"].items()},
        "scores": {name: round(head["score"], 4) for name, head in found["heads"].items()},
        "total": timings["total"],
        "wall": round(found["wall"], 3),
        "peak": found["peak"],
        "anonymous": found["anonymous"],
        "disk": fresh.stored_bytes(home),
        "version": package_version("headfit"),
    }
    print(json.dumps(record), flush=True)
    fresh.forget(home)
    return record


def _read(path: Path | None, options: dict[str, Any]) -> list[Record]:
    """Give the records of an earlier run with the same options."""
    if path is None or not path.exists():
        return []
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    return [record for record in records if record["options"] == options]


def _table(done: list[Record]) -> str:
    head = ["images", "classes", "pass s", "heads s", "of which flatten s", "whole process s"]
    head += ["peak GB", "without mapped files", "disk GB"]
    rows = []
    for record in sorted(done, key=lambda r: (r["classes"] != USUAL_CLASSES, *_case(r))):
        if record["images"] == SMALL:
            continue
        gigabytes = [f"{record[name] / 1e9:.2f}" for name in ("peak", "anonymous", "disk")]
        flatten = f"{record['each']['flatten']:.1f}" if "flatten" in record["each"] else ""
        seconds = [f"{record[name]:.1f}" for name in ("pass", "heads", "wall")]
        seconds.insert(2, flatten)
        rows.append([f"{record['images']:,}", str(record["classes"]), *seconds, *gigabytes])
    return markdown(head, rows)


def _case(record: Record) -> tuple[int, int]:
    return record["images"], record["classes"]


def _exponents(done: list[Record]) -> str:
    """Fit value = a · n^b, in logarithms, by least squares."""
    by_images = sorted(
        (r for r in done if r["classes"] == USUAL_CLASSES and r["images"] != SMALL), key=_case
    )
    by_classes = sorted((r for r in done if r["images"] == SIZE_OF_CLASSES), key=_case)
    start = next((r["pass"] for r in done if r["images"] == SMALL), 0.0)
    rate = _per_image(by_images)
    fixed = max(0.0, start - SMALL * rate)
    series = {
        "pass": [r["pass"] for r in by_images],
        f"pass, less the {fixed:.1f} s before the first image": [
            r["pass"] - fixed for r in by_images
        ],
        "all heads": [r["heads"] for r in by_images],
        **{
            f"head {name}": [r["each"][name] for r in by_images]
            for name in (by_images[0]["each"] if by_images else ())
        },
        "peak memory": [r["peak"] for r in by_images],
        "peak memory without mapped files": [r["anonymous"] for r in by_images],
        "disk": [r["disk"] for r in by_images],
    }
    rows = [
        [name, *_slopes([r["images"] for r in by_images], values)]
        for name, values in series.items()
    ]
    rows += [
        [f"{name}, over classes", *_slopes([r["classes"] for r in by_classes], values)]
        for name, values in {
            "all heads": [r["heads"] for r in by_classes],
            "peak memory": [r["peak"] for r in by_classes],
        }.items()
    ]
    return markdown(["", "exponent", "between the last two sizes"], rows)


def _per_image(records: list[Record]) -> float:
    """Seconds that the pass takes for one more image, between the smallest and the largest size."""
    if len(records) < 2:
        return 0.0
    first, last = records[0], records[-1]
    return (last["pass"] - first["pass"]) / (last["images"] - first["images"])


def _slopes(sizes: list[int], values: list[float]) -> list[str]:
    """Give the exponent with the largest deviation from the line, and that of the last two."""
    if len(sizes) < 2 or min(values) <= 0:
        return ["too few sizes", ""]
    x, y = np.log(sizes), np.log(values)
    slope, height = np.polyfit(x, y, 1)
    off = float(np.abs(y - slope * x - height).max())
    last = (y[-1] - y[-2]) / (x[-1] - x[-2])
    return [f"{slope:.2f} (within {np.expm1(off):.0%})", f"{last:.2f}"]


if __name__ == "__main__":
    main()
