"""Options that several commands share, in the groups of their help."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from headfit.cli.command import OUTPUT, Option
from headfit.errors import UsageError
from headfit.heads.presets import DEFAULT_HEADS

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
PATH = click.Path(path_type=Path)
PREPROCESSING_MODES = click.Choice(["none", "tf", "caffe", "torch"])
DATA, MODEL, BACKBONE, HEADS, PROTOCOL = "Data", "Model", "Backbone", "Heads", "Protocol"


def option(group: str, *declarations: str, **attributes: Any) -> Decorator:
    """Make an option of a group; attributes are those of :func:`click.option`."""
    attributes.setdefault("show_default", attributes.get("default") is not None)
    return click.option(*declarations, cls=Option, group=group, **attributes)


def stack(*options: Decorator) -> Decorator:
    """Join options to one decorator; the first stands first in the help."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for each in reversed(options):
            command = each(command)
        return command

    return add


def backbone_option(
    default: str | None = "efficientnet_lite0",
    *,
    name: str = "backbone",
    group: str = BACKBONE,
    **attributes: Any,
) -> Decorator:
    """Make ``--backbone``; attributes as for :func:`option`."""
    words = {
        "default": default,
        "metavar": "NAMES",
        "help": "Name of a backbone (see headfit backbones), or your own model: FILE.keras, "
        "FILE.h5, module:function (runs that code; the current folder comes first) or hub:PRESET. "
        "Several, separated by commas, are compared.",
    }
    return option(group, "--backbone", name, **(words | attributes))


def size_option(group: str = BACKBONE, **attributes: Any) -> Decorator:
    """Make ``--size``; attributes as for :func:`option`."""
    words = {
        "type": int,
        "metavar": "PIXELS",
        "show_default": "the backbone's own",
        "help": "Side of the square input in pixels.",
    }
    return option(group, "--size", **(words | attributes))


def read_map_shape(text: str) -> tuple[int, int, int]:
    """Read ``"7,7,1280"``."""
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdecimal() and int(part) for part in parts):
        raise UsageError.invalid("map_shape", text, "three positive integers, such as 7,7,1280")
    height, width, channels = map(int, parts)
    return height, width, channels


def map_option(**attributes: Any) -> Decorator:
    """Make ``--map``; attributes as for :func:`option`."""
    return option(MODEL, "--map", "map_shape", type=read_map_shape, metavar="H,W,C", **attributes)


def out_option(default: str, words: str = "Folder for the results.") -> Decorator:
    """Make ``--out`` with its default."""
    return option(OUTPUT, "--out", type=PATH, metavar="PATH", default=Path(default), help=words)


SOURCE = click.argument("images", metavar="SOURCE", type=PATH)
WEIGHTS = option(
    BACKBONE,
    "--weights",
    default="imagenet",
    metavar="WEIGHTS",
    help="imagenet, random, or a weights file without the top: one for all backbones, or one for "
    "each, separated by commas.",
)
PREPROCESSING = option(
    BACKBONE,
    "--preprocessing",
    type=PREPROCESSING_MODES,
    show_default="the model's own, else none",
    help="How pixels are scaled for your own model: none (0 to 255), tf (-1 to 1), caffe or torch.",
)
ENGINE = option(
    BACKBONE,
    "--engine",
    type=click.Choice(["auto", "openvino", "keras"]),
    default="auto",
    help="What runs the backbone. auto uses OpenVINO if it can run the backbone, else Keras.",
)
GROUPING = stack(
    option(
        DATA,
        "--groups",
        metavar="CSV|REGEX",
        help="Images that must stay together: a CSV file with the columns path and group, or a "
        "regular expression on the path, such as 'patient(\\d+)'.",
    ),
    option(
        DATA,
        "--near-duplicates/--no-near-duplicates",
        default=True,
        help="Find near-duplicate images and keep them together.",
    ),
)
LINKS = option(
    DATA,
    "--follow-links/--no-follow-links",
    default=False,
    help="Follow links that point outside the folder. Links within it are always followed.",
)
SPLITS = option(
    DATA,
    "--splits/--no-splits",
    default=None,
    show_default="from their names",
    help="Whether the folders are train, val and test folders of class folders, or classes.",
)
LAYOUT = stack(
    SPLITS,
    LINKS,
    option(
        DATA,
        "--skip-empty-classes",
        is_flag=True,
        help="Leave out classes without an image that can be read, instead of stopping.",
    ),
)
_ROLES = {
    "path": "the image files",
    "label": "the classes, labels or numbers. Several, such as x,y, hold numbers, or 0 and 1 for "
    "a label each",
    "split": "train, validation or test",
    "group": "groups, each of which stays in one fold",
    "weight": "weights: how much each image counts",
}
_COLUMNS = [
    option(
        DATA,
        f"--{role}-column",
        metavar="NAMES" if role == "label" else "NAME",
        show_default=f"{role}, or another usual name",
        help=f"Column of a table that holds {what}.",
    )
    for role, what in _ROLES.items()
]
_TARGET = stack(
    option(
        DATA,
        "--target",
        type=click.Choice(["class", "labels", "number"]),
        show_default="from the source",
        help="What to predict for each image: one class, several labels or numbers. Class folders "
        "give classes.",
    ),
    option(
        DATA,
        "--label-separator",
        default=";",
        metavar="TEXT",
        help="What stands between the labels in a cell of a table.",
    ),
)
_ROOT = option(
    DATA,
    "--root",
    type=PATH,
    metavar="FOLDER",
    show_default="the table's folder",
    help="Folder that the paths in a table are relative to.",
)
TABLE_OF_PATHS = stack(LINKS, _COLUMNS[0], _ROOT)
"""How images are found that need no label."""
TABLE = stack(*_COLUMNS[:-1], _TARGET, _ROOT)
"""How a table is read whose weights do not count."""
READING = stack(
    LAYOUT,
    *_COLUMNS,
    _TARGET,
    _ROOT,
    option(
        DATA,
        "--strict",
        is_flag=True,
        help="Stop if a row of a table cannot be used, or an image beside the others has no row.",
    ),
)
"""How a source is read."""
CLASSES = option(
    MODEL,
    "--classes",
    type=click.IntRange(min=2),
    default=10,
    metavar="N",
    help="Number of classes.",
)
FEATURE_DTYPE = option(
    BACKBONE,
    "--feature-dtype",
    type=click.Choice(["float16", "float32"]),
    default="float16",
    help="How feature maps are stored. float32 takes twice the space.",
)
CLASS_WEIGHT = option(
    PROTOCOL,
    "--class-weight",
    type=click.Choice(["auto", "balanced", "none"]),
    default="auto",
    help="balanced: every class contributes alike to the loss, however few images it has; "
    "auto: balanced if the largest class has more than 10 times the images of the smallest.",
)
NUMBER_LOSS = option(
    PROTOCOL,
    "--number-loss",
    type=click.Choice(["squared", "huber"]),
    default="squared",
    help="Loss of heads with layers of their own, where the targets are numbers. huber is less "
    "led by a few numbers that are far off; linear heads are always fitted to squared errors.",
)
ROPE = option(
    PROTOCOL,
    "--rope",
    type=float,
    default=0.01,
    metavar="FRACTION",
    help="Largest difference in the primary metric (balanced accuracy, average precision, R²) that "
    "does not matter to you.",
)
SEED = option(PROTOCOL, "--seed", type=int, default=0, help="Random seed.")
DEBUG = option(OUTPUT, "--debug", is_flag=True, help="Show a traceback on errors.")
JSON = option(OUTPUT, "--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
TRACK = option(
    OUTPUT,
    "--track",
    metavar="NAMES",
    help="Also record it with mlflow, tensorboard, wandb, or several.",
)
REPORTING = stack(JSON, DEBUG)
"""The last options of a command that prints a table."""

STUDY = stack(
    READING,
    GROUPING,
    backbone_option(),
    WEIGHTS,
    PREPROCESSING,
    size_option(
        type=str,
        help="Side of the square input in pixels. Several, such as 96,160,224, are compared.",
    ),
    option(
        BACKBONE,
        "--cut",
        metavar="LAYERS",
        show_default="the backbone's end",
        help="Layer whose output is the feature map. Several, such as block4_pool,block5_pool, "
        "are compared; a+b joins two layers.",
    ),
    ENGINE,
    option(
        BACKBONE,
        "--precision",
        type=click.Choice(["float32", "int8"]),
        default="float32",
        help="Arithmetic of the backbone. int8 is faster on some processors; its effect on the "
        "scores is measured.",
    ),
    FEATURE_DTYPE,
    option(
        HEADS,
        "--heads",
        metavar="HEADS",
        show_default=",".join(DEFAULT_HEADS),
        help="Heads to compare, separated by commas: chains such as gap, gem-512 or "
        "gap-dropout0.4-1024 (see headfit heads), module:function (runs that code; the current "
        "folder comes first), or a saved model FILE.keras.",
    ),
    option(
        HEADS,
        "--keep",
        metavar="HEADS",
        help="Other heads to save as models too, in the folder heads of the results, for predict "
        "and explain --compare.",
    ),
    option(
        PROTOCOL,
        "--protocol",
        type=click.Choice(["quick", "standard", "thorough"]),
        default="standard",
        help="quick: 1 × 5 folds, and fewer settings tried for heads with hidden layers; "
        "standard: 5 × 10 folds; thorough: 10 × 10 folds.",
    ),
    option(PROTOCOL, "--quick", is_flag=True, help="Short for --protocol quick."),
    option(
        PROTOCOL,
        "--folds",
        type=int,
        metavar="N",
        show_default="from --protocol",
        help="Number of cross-validation folds, at least 3.",
    ),
    option(
        PROTOCOL,
        "--repeats",
        type=int,
        metavar="N",
        show_default="from --protocol",
        help="Number of cross-validations, each with new folds.",
    ),
    ROPE,
    CLASS_WEIGHT,
    NUMBER_LOSS,
    option(
        PROTOCOL,
        "--where/--no-where",
        default=True,
        help="Measure how much it matters where things are in the image.",
    ),
    option(
        PROTOCOL,
        "--curve/--no-curve",
        default=True,
        help="Measure learning curves, and estimate what more images would bring.",
    ),
    SEED,
    option(OUTPUT, "--watch", is_flag=True, help="Serve a live page of the run on this machine."),
    TRACK,
    REPORTING,
)
"""The options of a comparison of heads."""
