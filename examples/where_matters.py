"""Generated images: in one set the class is where a disc lies, in the other which pattern it shows.

The same discs, the same backbone, the same two heads; only the question differs::

    python examples/where_matters.py folder-for-the-images
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import headfit as hf
from headfit.samples.catalog import write_sample


def main(given: Sequence[str] | None = None) -> None:
    """Ask on both whether Flatten is necessary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the images are written")
    parser.add_argument("--weights", default="imagenet", help="imagenet, random or a file")
    parser.add_argument("--size", type=int, default=160, help="side of the images in pixels")
    parser.add_argument("--protocol", default="quick", help="quick, standard or thorough")
    chosen = parser.parse_args(given)

    for name in ("where", "what"):
        study = hf.compare(
            write_sample(name, chosen.folder / name),
            heads="gap,flatten",
            weights=chosen.weights,
            size=chosen.size,
            protocol=chosen.protocol,
        )
        print(f"{name}: {study.verdict.flatten}. {study.verdict}")


if __name__ == "__main__":
    main()
