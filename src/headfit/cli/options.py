"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Command = Callable[..., Any]

_GROUPING = (
    click.option(
        "--groups",
        help="Images that belong together and must not be torn apart: a CSV file with columns "
        "path,group, or a regular expression on the path, such as 'patient(\\d+)'.",
    ),
    click.option(
        "--near-duplicates/--no-near-duplicates",
        default=True,
        show_default=True,
        help="Find near-duplicates, and keep them in one fold.",
    ),
)
_STUDY = (
    click.option("--seed", type=int, default=0, show_default=True, help="Of every random step."),
    click.option(
        "--folds",
        type=int,
        help="Of the cross-validation, the same for every head.  [default: the protocol's]",
    ),
    click.option(
        "--repeats", type=int, help="How often the folds are drawn.  [default: the protocol's]"
    ),
    click.option(
        "--size",
        help="Side of the input in pixels; several, such as 96,160,224, are compared.  "
        "[default: the backbone's own]",
    ),
    click.option(
        "--cut",
        help="Layer whose output is the feature map; several, such as block4_pool,block5_pool, "
        "are compared in one pass; a+b joins the averages of two.  [default: the backbone's end]",
    ),
    click.option(
        "--backbone",
        default="efficientnet_lite0",
        show_default=True,
        help="Any of keras.applications, in any spelling, efficientnet_lite0, 1, 2, or a model of "
        "your own: a .keras or .h5 file, module:function, hub:preset; several, separated by "
        "commas, are compared.",
    ),
    click.option(
        "--preprocessing",
        help="Of pixels for a model of your own: none, tf (-1 to 1), torch or caffe.  "
        "[default: what the model brings, else none]",
    ),
    click.option(
        "--weights",
        default="imagenet",
        show_default=True,
        help="imagenet, random, or a weights file of the backbone without its top; one for all "
        "backbones, or one for each.",
    ),
    click.option(
        "--heads",
        help="Chains such as gap,flatten,gem-512,gap-dropout0.4-1024, or heads of your own: "
        "module:function, a saved Keras model my_head.keras.  "
        "[default: gap, flatten, gmp, avgmax, gem, gap-1024-1024-512]",
    ),
    click.option(
        "--keep",
        help="Heads of these that become models too, such as gap,flatten, in the folder heads "
        "beside model.keras: for predict, and side by side in explain.",
    ),
    click.option(
        "--rope",
        type=float,
        default=0.01,
        show_default=True,
        help="A difference in balanced accuracy that does not matter to you.",
    ),
    click.option(
        "--where/--no-where",
        default=True,
        show_default=True,
        help="Measure how much it matters where things are.",
    ),
    click.option(
        "--curve/--no-curve",
        default=True,
        show_default=True,
        help="Measure learning curves, and what more images would bring.",
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
    click.option(
        "--watch", is_flag=True, help="Serve a page of the run while it goes on, on this machine."
    ),
    click.option("--json", "as_json", is_flag=True, help="Print results.json on stdout, no table."),
    click.option("--debug", is_flag=True, help="Show the traceback of an error."),
)


def grouping_options(command: Command) -> Command:
    """Add the options that say which images belong together."""
    return _added(command, _GROUPING)


def study_options(protocol: str) -> Callable[[Command], Command]:
    """Add the options of a comparison, with this protocol as the default."""

    return lambda command: _added(command, (*_protocol(protocol), *_GROUPING, *_STUDY))


def _added(command: Command, options: tuple[Callable[[Command], Command], ...]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def _protocol(default: str) -> tuple[Callable[[Command], Command], ...]:
    return (
        click.option(
            "--protocol",
            callback=lambda context, option, value: value or default,
            help="quick: 1 × 5 folds, and one trial for heads with hidden layers; standard: "
            "5 × 10; thorough: 10 × 10. The price is printed before it starts.  "
            f"[default: {default}]",
        ),
        click.option("--quick", is_flag=True, help="The same as --protocol quick."),
    )
