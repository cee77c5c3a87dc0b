"""What training more brings on four kinds of images, with `hf.finetune` as anyone would call it.

python benchmarks/gains.py --hands FOLDER                       all four sets
python benchmarks/gains.py --sets stamps --images 200 --epochs 2

Solar cells come with the package `elpv-dataset`, clothes with Debian's `dataset-fashion-mnist`,
clip-art with `tuxpaint-stamps-default`; FOLDER holds the sign language digits (class folders, see
benchmarks/README.md). Each set is cut to the same number of images, classes as equal as they can
be, and scored by balanced accuracy on the same grouped folds.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.stats import t
from tables import machine, markdown

import headfit as hf
from headfit.finetuning.memory import keep_freed_memory
from headfit.samples.catalog import write_sample

FASHION = Path("/usr/share/datasets/fashion-mnist")
STAMPS = Path("/usr/share/tuxpaint/stamps")
CLOTHES = (
    *("t-shirt", "trousers", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "boot"),
)
# what keeps the label: digits and clip-art are never mirrored, cells may be turned
AUGMENT = {
    "cells": "hflip,vflip,rot90",
    "hands": "rotate10,shift0.05,zoom0.1,brightness0.1,contrast0.1",
    "clothes": "light",
    "stamps": "light",
}
SCRATCH_EPOCHS = 2  # times as many passes as fine-tuning gets: it starts with nothing
SCRATCH_RATE = 1e-3
LEAST = 40  # pictures that a kind of stamps must have


def main() -> None:
    """Run on every set, and print a table."""
    args = _arguments()
    print(machine())
    keep_freed_memory()
    record = {}
    for name in args.sets.split(","):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / name
            count = SETS[name](folder, args)
            print(f"\n{name}: {count} images", flush=True)
            record[name] = _measure(name, folder, args)
        print(_table(record[name]), flush=True)
        if args.json:
            Path(args.json).write_text(json.dumps(record, indent=1), "utf-8")


def _measure(name: str, folder: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    shared: dict[str, Any] = {
        "size": args.size,
        "folds": args.folds,
        "seed": args.seed,
        "augment": AUGMENT[name],
        "views": args.views,
    }
    study = hf.finetune(folder, unfreeze=["last", "all"], epochs=args.epochs, **shared)
    rows = [*study.results["candidates"]]
    epochs = SCRATCH_EPOCHS * args.epochs
    settings = {**shared, "epochs": epochs, "learning_rate": SCRATCH_RATE}
    scratch = hf.finetune(folder, unfreeze="none", scratch=True, **settings)
    return [*rows, *(each for each in scratch.results["candidates"] if "scratch" in each["name"])]


def _table(rows: list[dict[str, Any]]) -> str:
    """Differences are of the folds, with the corrected t interval (Nadeau & Bengio 2003)."""
    frozen = np.array(rows[0]["balanced_accuracy"]["folds"]).ravel()
    lines = []
    for row in rows:
        folds = np.array(row["balanced_accuracy"]["folds"]).ravel()
        gain = "" if row is rows[0] else _interval(100 * (folds - frozen))
        numbers = [
            f"{100 * folds.mean():.1f}",
            gain,
            f"{row['log_loss']['mean']:.3f}",
            f"{row['train_seconds']:.1f}",
        ]
        lines.append([row["name"], *numbers])
    return markdown(["row", "balanced, %", "minus frozen", "log loss", "seconds a fold"], lines)


def _interval(gains: np.ndarray) -> str:
    count = len(gains)
    reach = t.ppf(0.975, count - 1) * gains.std(ddof=1) * np.sqrt(1 / count + 1 / (count - 1))
    return f"{gains.mean():+.1f} ({gains.mean() - reach:+.1f} to {gains.mean() + reach:+.1f})"


def _cells(folder: Path, args: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as place:
        source = write_sample("elpv", Path(place) / "cells", seed=args.seed)
        files: dict[str, list[Path]] = {}
        for path in sorted(Path(source).rglob("*.png")):
            files.setdefault(path.parent.name, []).append(path)
        return _copied(files, folder, args)


def _hands(folder: Path, args: argparse.Namespace) -> int:
    if args.hands is None:
        raise SystemExit("Name the folder of the sign language digits: --hands FOLDER")
    classes = (each for each in sorted(args.hands.iterdir()) if each.is_dir())
    return _copied({each.name: sorted(each.iterdir()) for each in classes}, folder, args)


def _stamps(folder: Path, args: argparse.Namespace) -> int:
    files = {each.name: sorted(each.rglob("*.png")) for each in sorted(STAMPS.iterdir())}
    return _copied({n: paths for n, paths in files.items() if len(paths) >= LEAST}, folder, args)


def _clothes(folder: Path, args: argparse.Namespace) -> int:
    with gzip.open(FASHION / "train-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(FASHION / "train-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    rng, each = np.random.default_rng(args.seed), args.images // len(CLOTHES)
    for number, name in enumerate(CLOTHES):
        (folder / name).mkdir(parents=True)
        for row in rng.choice(np.flatnonzero(labels == number), each, replace=False):
            Image.fromarray(images[row]).save(folder / name / f"{row:05d}.png")
    return each * len(CLOTHES)


def _copied(files: dict[str, list[Path]], folder: Path, args: argparse.Namespace) -> int:
    """Copy as many of each class as the number of images allows."""
    rng, each, count = np.random.default_rng(args.seed), args.images // len(files), 0
    for name, paths in files.items():
        (folder / name).mkdir(parents=True)
        chosen = rng.permutation(len(paths))[:each]
        for row in sorted(chosen):
            shutil.copyfile(paths[row], folder / name / paths[row].name)
        count += len(chosen)
    return count


SETS: dict[str, Callable[[Path, argparse.Namespace], int]] = {
    "cells": _cells,
    "hands": _hands,
    "clothes": _clothes,
    "stamps": _stamps,
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--hands", type=Path, help="folder of the sign language digits")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", help="write the figures of every fold there")
    args = parser.parse_args()
    unknown = set(args.sets.split(",")) - set(SETS)
    if unknown:
        parser.error(f"unknown sets: {', '.join(sorted(unknown))}. Expected: {', '.join(SETS)}")
    return args


if __name__ == "__main__":
    main()
