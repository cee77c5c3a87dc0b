"""``headfit diagram``: a picture of what Flatten and global average pooling make of a map."""

from __future__ import annotations

from pathlib import Path

import click

from headfit.cli.command import OUTPUT, Command
from headfit.cli.console import Messages
from headfit.cli.echo import echo
from headfit.cli.options import (
    CLASSES,
    DATA,
    DEBUG,
    JSON,
    MODEL,
    PATH,
    backbone_option,
    map_option,
    option,
    out_option,
    size_option,
    stack,
)
from headfit.cli.tables import print_json

EXAMPLES = """\b
Examples:
  headfit diagram --backbone VGG16 --classes 1000 --out vgg16.svg
  headfit diagram --map 220,220,30 --classes 2 --out question.svg
  headfit diagram --image photo.jpg --classes 3 --dark --out photo.png
"""
OPTIONS = stack(
    backbone_option(
        None,
        group=MODEL,
        metavar="NAME",
        show_default="efficientnet_lite0",
        help="Name of a backbone (see headfit backbones), or your own model.",
    ),
    size_option(group=MODEL),
    map_option(help="Draw a map of this shape, without a backbone."),
    CLASSES,
    option(
        DATA,
        "--image",
        type=PATH,
        metavar="PATH",
        help="A photograph whose feature maps are drawn as well.",
    ),
    option(
        DATA,
        "--weights",
        metavar="WEIGHTS",
        show_default="imagenet",
        help="With --image: imagenet, random or a weights file.",
    ),
    option(OUTPUT, "--dark", is_flag=True, help="Use colours for a dark page."),
    out_option("headfit-diagram.svg", "The .svg or .png file to write."),
    JSON,
    DEBUG,
)


@click.command(cls=Command, epilog=EXAMPLES)
@OPTIONS
def command(
    backbone: str | None,
    size: int | None,
    map_shape: tuple[int, int, int] | None,
    classes: int,
    image: Path | None,
    weights: str | None,
    dark: bool,
    out: Path,
    as_json: bool,
    debug: bool,
) -> None:
    """Draw, to scale, what Flatten and global average pooling make of a feature map."""
    from headfit.inspection.diagram.diagram import diagram  # noqa: PLC0415  (heavy)

    drawn = diagram(
        backbone,
        size=size,
        map_shape=map_shape,
        classes=classes,
        image=image,
        weights=weights,
        dark=dark,
        out=out,
        callbacks=Messages(),
    )
    if as_json:
        print_json(drawn.to_dict())
        return
    echo(str(drawn))
    echo(f"Written: {out}")
