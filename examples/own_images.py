"""Compare heads on a folder of images, save the model, classify new images.

::

    python examples/own_images.py photos --out run --new new.jpg
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import headfit as hf


def main(argv: Sequence[str] | None = None) -> None:
    """Go from a folder of images to the class of a new one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="images, one sub-folder for each class")
    parser.add_argument("--new", type=Path, nargs="+", required=True, help="images to classify")
    parser.add_argument("--out", type=Path, default=Path("headfit-run"), help="results folder")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--weights", default="imagenet", help="imagenet, random or a weights file")
    parser.add_argument("--size", type=int, help="side in pixels; default: the backbone's own")
    parser.add_argument("--protocol", default="quick", help="quick, standard or thorough")
    args = parser.parse_args(argv)

    index = hf.ImageIndex.from_directory(args.folder)
    print(index.counts())

    study = hf.compare(
        index,
        backbone=args.backbone,
        weights=args.weights,
        size=args.size,
        heads="gap,flatten,gem",
        protocol=args.protocol,
    )
    verdict = study.verdict
    print(verdict)
    difference = verdict.difference
    if difference is not None:
        mean, low, high = (100 * x for x in (difference.mean, difference.low, difference.high))
        print(f"Flatten minus gap: {mean:+.1f} points ({low:+.1f} to {high:+.1f})")

    # report.html, model.keras, results.json, predictions.csv, suspects.csv
    study.save(args.out)

    # later, or on another machine: the training images are not needed
    classifier = hf.Classifier.load(args.out / "model.keras")
    for path, name in zip(args.new, classifier.predict(args.new), strict=True):
        print(f"{path}: {name}")


if __name__ == "__main__":
    main()
