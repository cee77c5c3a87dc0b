"""How long do heads for several labels and for numbers take, beside the pass that made their maps?

python benchmarks/targets.py                1,000 images, 5×10 folds, six linear heads
python benchmarks/targets.py --images 300   a quick look

The images are random crops of photographs; 20 labels and two numbers are drawn from their maps with
noise, so that there is something to learn. Targets: 20 labels in at most 3 times the pass, two
numbers in at most half of it. Each round makes the pass and all fits anew, in turn.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import numpy as np
from photographs import classes_of_photographs
from tables import machine, markdown

from headfit.fitting.problem import Problem
from headfit.heads.chain import parse_heads
from headfit.images.targets import LABELS, NUMBER, Targets
from headfit.study.protocol.splits import make_splits
from simulations import cross_validated, pooled_of

HEADS = parse_heads("gap,gmp,avgmax,spp,spatial_prior,flatten")
COUNTS = {LABELS: 20, NUMBER: 2}
GOALS = {LABELS: 3.0, NUMBER: 0.5}
FOLDS, REPEATS = 10, 5
CLASSES = 20


def main() -> None:
    """Time the pass and the fits, and print the table."""
    args = _arguments()
    print(f"{machine()}\n")
    with tempfile.TemporaryDirectory() as place:
        folder = classes_of_photographs(Path(place) / "images", args.images, CLASSES)
        paths = sorted(folder.glob("*/*.jpg"))
        rounds = [
            _round(paths, args, Path(place) / f"home{number}") for number in range(args.rounds)
        ]
    passes = [each["pass"] for each in rounds]
    rows = [["pass", f"{median(passes):.1f}", "", "", ""]]
    for kind, count in COUNTS.items():
        seconds, scores = zip(*(each[kind] for each in rounds), strict=True)
        ratio = median(s / p for s, p in zip(seconds, passes, strict=True))
        goal = GOALS[kind]
        verdict = "met" if ratio <= goal else "missed"
        rows.append(
            [
                f"{count} {'labels' if kind == LABELS else 'numbers'}, six heads",
                f"{median(seconds):.1f}",
                f"{ratio:.2f}",
                f"{goal} ({verdict})",
                f"{scores[0][0]:.2f} to {scores[0][1]:.2f}",
            ]
        )
    head = ["", "seconds", "times the pass", "goal", "score"]
    print(f"{args.images} images, {REPEATS}×{FOLDS} folds, {args.rounds} rounds:\n")
    print(markdown(head, rows))


def _round(paths: list[Path], args: argparse.Namespace, home: Path) -> dict:  # type: ignore[type-arg]
    os.environ["HEADFIT_HOME"] = str(home)
    import headfit as hf

    extractor = hf.FeatureExtractor(args.backbone, weights=args.weights, pooling=None)
    extractor.fit_transform(paths[:2])  # builds the graph, once for all runs of a user
    begun = time.perf_counter()
    maps = np.asarray(extractor.fit_transform(paths), np.float32)
    found = {"pass": time.perf_counter() - begun}
    for kind, count in COUNTS.items():
        targets = _targets(kind, count, maps)
        splits = make_splits(
            targets.strata, folds=FOLDS, repeats=REPEATS, seed=0, required=kind == LABELS
        )
        pooled = pooled_of(maps, HEADS)
        begun = time.perf_counter()
        outcome = cross_validated([(head, pooled) for head in HEADS], Problem(targets, splits))
        means = outcome.scores.mean(axis=1)
        found[kind] = time.perf_counter() - begun, (means.min(), means.max())
    return found


def _targets(kind: str, count: int, maps: np.ndarray) -> Targets:
    """Draw targets from the mean of each channel, half of their variance noise."""
    rng = np.random.default_rng(0)
    averages = maps.mean(axis=(1, 2))
    standard = (averages - averages.mean(axis=0)) / (averages.std(axis=0) + 1e-6)
    scores = standard @ rng.normal(size=(maps.shape[3], count)) / np.sqrt(maps.shape[3])
    scores = scores / scores.std(axis=0) + rng.normal(size=scores.shape)
    names = tuple(f"t{k:02}" for k in range(count))
    if kind == NUMBER:
        return Targets.of_numbers(names, scores)
    return Targets(names, (scores > rng.uniform(0, 2, count)).astype(int), LABELS)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--weights", default="imagenet")
    return parser.parse_args()


if __name__ == "__main__":
    main()
