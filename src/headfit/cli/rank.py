"""``headfit rank``: which backbone is worth a comparison of heads?"""

from __future__ import annotations

from pathlib import Path

import click

from headfit.cli.command import Command
from headfit.cli.options import grouping_options

EXAMPLES = """\b
Examples:
  headfit rank photos                                    those whose weights are installed
  headfit rank photos --backbone efficientnet_lite0,MobileNetV2,ResNet50
  headfit rank photos --backbone MobileNet,VGG16 --weights mine.weights.h5,imagenet
  headfit rank photos --size 128 --json > ranking.json   for machines
"""


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("images", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option(
    "--backbone",
    "backbones",
    help="Names, separated by commas.  [default: efficientnet_lite0, and 1 and 2 if installed]",
)
@click.option(
    "--weights",
    default="imagenet",
    show_default=True,
    help="imagenet, random or a file: one for all, or one for each backbone, separated by commas.",
)
@click.option(
    "--preprocessing",
    help="Of pixels for models of your own: none, tf (-1 to 1), torch or caffe.  "
    "[default: what the model brings, else none]",
)
@click.option("--size", type=int, help="Side of the input in pixels; each backbone's own.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Of the intervals of differences."
)
@click.option(
    "--engine",
    default="auto",
    show_default=True,
    help="auto, openvino or keras; auto falls back to Keras and says so.",
)
@grouping_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, no table.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def command(
    images: Path,
    backbones: str | None,
    weights: str,
    preprocessing: str | None,
    size: int | None,
    seed: int,
    engine: str,
    groups: str | None,
    near_duplicates: bool,
    as_json: bool,
    debug: bool,
) -> None:
    """Order backbones by how well they tell the classes of the images in FOLDER.

    Each sends every image once through itself; ridge regression on its averaged feature maps then
    predicts each image from all others. Feature maps are kept, so a comparison of heads on the
    best needs no second pass. FOLDER is laid out as for compare; a test split takes no part.
    """
    from headfit.cli.show_ranking import run_ranking  # noqa: PLC0415  (heavy)

    run_ranking(
        images,
        as_json,
        backbones=backbones,
        weights=weights,
        preprocessing=preprocessing,
        size=size,
        seed=seed,
        engine=engine,
        groups=groups,
        near_duplicates=near_duplicates,
    )
