"""``headfit finetune``: whether training more than the head pays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from headfit.cli.command import Command
from headfit.cli.options import (
    PATH,
    PROTOCOL,
    REPORTING,
    ROPE,
    SEED,
    TRACK,
    option,
    out_option,
    stack,
)
from headfit.cli.tuning_options import (
    AUGMENTATION,
    BACKBONES,
    BATCHES,
    FOLDING,
    TRAINING,
    VIEWS,
    model,
    named,
)

EXAMPLES = """\b
Examples:
  headfit finetune photos                        the last stage, 4 views of each image
  headfit finetune headfit-run                   go on from a comparison, with its head
  headfit finetune photos --unfreeze last,2,all  a row for each
  headfit finetune photos --views 8 --augment hflip,vflip,rot90 --tta
  headfit finetune photos --learning-rate 1e-4,3e-4,1e-3
  headfit finetune photos --scratch              also from random weights
  headfit finetune photos --backbone MobileNetV2,ResNet50 --unfreeze none --scratch
  headfit finetune photos --track mlflow         record the run with MLflow too
  headfit finetune photos --json > results.json
"""
SETTINGS = stack(
    model(BACKBONES),
    option(
        TRAINING,
        "--unfreeze",
        metavar="PARTS",
        default="last",
        help="What is trained with the head: last (the last stage), a number of last stages, all, "
        "or the layer after which training starts. Several, separated by commas, are a row each; "
        "none, with --scratch, is nothing.",
    ),
    option(TRAINING, "--scratch", is_flag=True, help="Also train all of it from random weights."),
    option(
        TRAINING,
        "--learning-rate",
        metavar="RATES",
        show_default="3e-4",
        help="Peak rate of the last trained stage. Of several, up to three, each fold chooses one "
        "and the number of epochs on an inner split.",
    ),
    option(TRAINING, "--epochs", type=int, default=5, metavar="N", help="Passes over the images."),
    BATCHES,
    AUGMENTATION,
    option(
        VIEWS,
        "--tta",
        is_flag=True,
        help="Also score each row on the mean prediction over the views.",
    ),
    FOLDING,
    option(PROTOCOL, "--repeats", type=int, default=1, metavar="N", help="Cross-validations."),
    ROPE,
    SEED,
    TRACK,
    REPORTING,
)


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("images", metavar="SOURCE|RUN", type=PATH)
@out_option("headfit-tuned")
@SETTINGS
@click.pass_context
def command(
    context: click.Context, /, images: Path, out: Path, as_json: bool, debug: bool, **options: Any
) -> None:
    """Train parts of the backbone with a head, and see whether that pays.

    SOURCE is a folder with a sub-folder per class, or whatever headfit compare takes; RUN is the
    folder of a comparison, whose images, backbone and recommended head are used. The head is fitted
    exactly first, and training starts from it. Every row is scored on the same folds: the frozen
    head, the head on augmented views, and each part that is trained. Stop at any time: finished
    folds and epochs are kept, and the same command goes on from there.
    """
    from headfit.cli.tuning import run_finetune  # noqa: PLC0415  (heavy)

    run_finetune(images, out, as_json, options, named(context, options))
