"""Options that ``headfit finetune`` and ``headfit lr-find`` share."""

from __future__ import annotations

from collections.abc import Iterable

import click

from headfit.cli.options import (
    CLASS_WEIGHT,
    ENGINE,
    FEATURE_DTYPE,
    GROUPING,
    HEADS,
    PREPROCESSING,
    PROTOCOL,
    READING,
    WEIGHTS,
    Decorator,
    backbone_option,
    option,
    size_option,
    stack,
)

TRAINING, VIEWS = "Training", "Views"
_ONE = "Name of a backbone (see headfit backbones), or your own model."
ONE_BACKBONE = backbone_option(help=_ONE)
BACKBONES = backbone_option(help=f"{_ONE} Of several, separated by commas, each has all rows.")
HEAD = option(HEADS, "--head", metavar="HEAD", default="gap", help="Head, such as gap or flatten.")


def model(backbone: Decorator) -> Decorator:
    """Make the options that say what is trained on what; ``backbone`` is one of the above."""
    own = (WEIGHTS, PREPROCESSING, size_option(), ENGINE, FEATURE_DTYPE, HEAD)
    return stack(READING, GROUPING, backbone, *own)


BATCHES = stack(
    option(TRAINING, "--batch-size", type=int, default=32, metavar="N", help="Images in a step."),
    option(
        TRAINING,
        "--label-smoothing",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="Share of the probability that is spread over all classes.",
    ),
    option(
        TRAINING,
        "--mixup",
        type=float,
        default=0.0,
        metavar="ALPHA",
        help="Mix pairs of images, with shares from a Beta(ALPHA, ALPHA) distribution; 0: never.",
    ),
)
AUGMENTATION = stack(
    option(
        VIEWS,
        "--augment",
        metavar="STEPS",
        default="light",
        help="How views of an image are drawn: none, light, strong, or a list such as "
        "hflip,rotate10,brightness0.2.",
    ),
    option(
        VIEWS,
        "--views",
        type=int,
        default=4,
        metavar="K",
        help="Views of each image; the first is the image as it is.",
    ),
)
FOLDING = stack(
    option(PROTOCOL, "--folds", type=int, default=5, metavar="N", help="Folds, at least 3."),
    CLASS_WEIGHT,
)


def named(context: click.Context, options: Iterable[str]) -> set[str]:
    """Give the names of the options that stand on the command line; a run decides the others."""
    line = click.core.ParameterSource.COMMANDLINE
    return {name for name in options if context.get_parameter_source(name) is line}
