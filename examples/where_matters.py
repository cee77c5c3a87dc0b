"""Two sets of generated images: the class is the position of a disc, or its pattern.

The same discs, the same backbone and the same two heads; only the question differs::

    python examples/where_matters.py folder-for-the-images
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import headfit as hf
from headfit.samples.catalog import write_sample


def main(argv: Sequence[str] | None = None) -> None:
    """Measure on both whether Flatten is necessary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder for the images")
    parser.add_argument("--weights", default="imagenet", help="imagenet, random or a weights file")
    parser.add_argument("--size", type=int, default=160, help="side of the images in pixels")
    parser.add_argument("--protocol", default="quick", help="quick, standard or thorough")
    args = parser.parse_args(argv)

    for name in ("where", "what"):
        study = hf.compare(
            write_sample(name, args.folder / name),
            heads="gap,flatten",
            weights=args.weights,
            size=args.size,
            protocol=args.protocol,
        )
        print(f"{name}: {study.verdict.flatten}. {study.verdict}")


if __name__ == "__main__":
    main()
