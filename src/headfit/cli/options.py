"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Command = Callable[..., Any]

_STUDY = (
    click.option("--seed", type=int, default=0, show_default=True, help="Of every random step."),
    click.option(
        "--folds",
        type=int,
        default=5,
        show_default=True,
        help="Of the cross-validation, the same for every head.",
    ),
    click.option(
        "--repeats", type=int, help="How often the folds are drawn.  [default: 3; 1 with --quick]"
    ),
    click.option("--size", type=int, help="Side of the input in pixels; the backbone's own."),
    click.option(
        "--backbone",
        default="efficientnet_lite0",
        show_default=True,
        help="Any of keras.applications, in any spelling, or efficientnet_lite0, 1, 2.",
    ),
    click.option(
        "--weights",
        default="imagenet",
        show_default=True,
        help="imagenet, random, or a weights file of the backbone without its top.",
    ),
    click.option(
        "--heads",
        help="Chains such as gap,flatten,gem-512,gap-dropout0.4-1024.  "
        "[default: gap, flatten, gmp, avgmax, gem, gap-1024-1024-512]",
    ),
    click.option(
        "--rope",
        type=float,
        default=0.01,
        show_default=True,
        help="A difference in balanced accuracy that does not matter to you.",
    ),
    click.option(
        "--engine",
        default="auto",
        show_default=True,
        help="auto, openvino or keras; auto falls back to Keras and says so.",
    ),
    click.option(
        "--precision",
        default="float32",
        show_default=True,
        help="float32, or int8: faster on some processors, and what it changes is measured.",
    ),
    click.option(
        "--feature-dtype",
        default="float16",
        show_default=True,
        help="How feature maps are stored: float16, or float32 in twice the space.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print results.json on stdout, no table."),
    click.option("--debug", is_flag=True, help="Show the traceback of an error."),
)


def study_options(command: Command) -> Command:
    """Add the options of a comparison."""
    for option in reversed(_STUDY):
        command = option(command)
    return command
