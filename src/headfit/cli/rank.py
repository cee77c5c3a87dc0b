"""``headfit rank``: which backbone suits your images?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from headfit.cli.command import Command
from headfit.cli.options import (
    ENGINE,
    GROUPING,
    PREPROCESSING,
    READING,
    REPORTING,
    SEED,
    SOURCE,
    WEIGHTS,
    backbone_option,
    size_option,
    stack,
)

EXAMPLES = """\b
Examples:
  headfit rank photos                                    backbones with installed weights
  headfit rank photos --backbone efficientnet_lite0,MobileNetV2,ResNet50
  headfit rank photos --backbone MobileNet,VGG16 --weights mine.weights.h5,imagenet
  headfit rank photos --size 128 --json > ranking.json   for scripts
"""
BACKBONES = backbone_option(
    None,
    name="backbones",
    show_default="those whose weights are installed",
    help="Names of backbones (see headfit backbones) or your own models, separated by commas.",
)


@click.command(cls=Command, epilog=EXAMPLES)
@SOURCE
@stack(READING, GROUPING, BACKBONES, WEIGHTS, PREPROCESSING, size_option(), ENGINE, SEED, REPORTING)
def command(images: Path, as_json: bool, debug: bool, **options: Any) -> None:
    """Rank backbones by how well they tell apart the classes of the images of SOURCE.

    Every image passes through each backbone once. Ridge regression on the averaged feature map then
    predicts each image from all others. Feature maps are stored, so comparing heads later needs no
    second pass. SOURCE is the same as for compare; test images are left out.
    """
    from headfit.cli.show_ranking import run_ranking  # noqa: PLC0415  (heavy)

    run_ranking(images, as_json, **options)
