"""``headfit lr-find``: a learning rate for fine-tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from headfit.cli.command import Command
from headfit.cli.options import PATH, REPORTING, SEED, option, out_option, stack
from headfit.cli.tuning_options import (
    AUGMENTATION,
    BATCHES,
    FOLDING,
    ONE_BACKBONE,
    TRAINING,
    model,
    named,
)

EXAMPLES = """\b
Examples:
  headfit lr-find photos                          the last stage
  headfit lr-find headfit-run --unfreeze all      images, backbone and head of a comparison
  headfit lr-find photos --scratch                all of it, from random weights
  headfit lr-find photos --batch-size 64          as for the fine-tuning that follows
"""
SETTINGS = stack(
    model(ONE_BACKBONE),
    option(
        TRAINING,
        "--unfreeze",
        metavar="PART",
        default="last",
        help="What is trained with the head: last (the last stage), a number of last stages, all, "
        "or the layer after which training starts.",
    ),
    option(
        TRAINING, "--scratch", is_flag=True, help="Train all of it from random weights instead."
    ),
    option(
        TRAINING,
        "--lowest",
        type=float,
        default=1e-6,
        metavar="RATE",
        help="Learning rate of the first step.",
    ),
    option(
        TRAINING,
        "--highest",
        type=float,
        default=0.1,
        metavar="RATE",
        help="Learning rate of the last step.",
    ),
    option(TRAINING, "--steps", type=int, default=60, metavar="N", help="Number of steps."),
    BATCHES,
    AUGMENTATION,
    FOLDING,
    SEED,
    REPORTING,
)


@click.command("lr-find", cls=Command, epilog=EXAMPLES)
@click.argument("images", metavar="SOURCE|RUN", type=PATH)
@out_option("headfit-lr-find", "Folder for the plot.")
@SETTINGS
@click.pass_context
def command(
    context: click.Context, /, images: Path, out: Path, as_json: bool, debug: bool, **options: Any
) -> None:
    """Find a learning rate for fine-tuning.

    SOURCE and RUN are those of headfit finetune. From the exact head, the learning rate rises from
    step to step until the loss explodes; the rate in the middle of the longest descent of the loss
    is suggested. Then all steps are forgotten: a fine-tuning that follows is the same as without.
    """
    from headfit.cli.tuning import run_lr_find  # noqa: PLC0415  (heavy)

    run_lr_find(images, out, as_json, options, named(context, options))
