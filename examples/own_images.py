"""Compare heads on a folder of images, read the verdict, keep the model, classify a new image.

::

    python examples/own_images.py photos --out run --new new.jpg
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import headfit as hf


def main(given: Sequence[str] | None = None) -> None:
    """Do all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="one folder of images for each class")
    parser.add_argument("--new", type=Path, nargs="+", required=True, help="images to classify")
    parser.add_argument("--out", type=Path, default=Path("headfit-run"), help="folder to write")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--weights", default="imagenet", help="imagenet, random or a file")
    parser.add_argument("--size", type=int, help="side of the images; the backbone's own")
    parser.add_argument("--protocol", default="quick", help="quick, standard or thorough")
    chosen = parser.parse_args(given)

    index = hf.ImageIndex.from_directory(chosen.folder)
    print(index.counts())

    study = hf.compare(
        index,
        backbone=chosen.backbone,
        weights=chosen.weights,
        size=chosen.size,
        heads="gap,flatten,gem",
        protocol=chosen.protocol,
    )
    verdict = study.verdict
    print(verdict)
    found = verdict.difference
    if found is not None:
        mean, low, high = (100 * value for value in (found.mean, found.low, found.high))
        print(f"Flatten minus gap: {mean:+.1f} points ({low:+.1f} to {high:+.1f})")

    # model.keras, results.json, predictions.csv, suspects.csv
    study.save(chosen.out)

    # any other day, without the images that it was trained on
    classifier = hf.Classifier.load(chosen.out / "model.keras")
    for path, name in zip(chosen.new, classifier.predict(chosen.new), strict=True):
        print(f"{path}: {name}")


if __name__ == "__main__":
    main()
