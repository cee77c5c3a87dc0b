"""``headfit diagram``: a picture of what Flatten and global average pooling make of a map."""

from __future__ import annotations

import json
from pathlib import Path

import click

from headfit.cli.command import Command
from headfit.cli.heads import MapShape

EXAMPLES = """\b
Examples:
  headfit diagram --backbone VGG16 --classes 1000 --out vgg16.svg
  headfit diagram --map 220,220,30 --classes 2 --out question.svg
  headfit diagram --image photo.jpg --classes 3 --dark --out photo.png
"""


@click.command(cls=Command, epilog=EXAMPLES)
@click.option("--backbone", help="Any that compare takes.  [default: efficientnet_lite0]")
@click.option("--size", type=int, help="Side of the input in pixels; the backbone's own.")
@click.option("--map", "shape", type=MapShape(), help="Draw a map of this shape; no backbone.")
@click.option("--classes", type=click.IntRange(min=2), default=10, show_default=True)
@click.option(
    "--image",
    type=click.Path(path_type=Path),
    help="Draw real feature maps of this photograph too.",
)
@click.option("--weights", help="For --image: imagenet, random or a file.  [default: imagenet]")
@click.option("--dark", is_flag=True, help="Draw for a dark page.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("headfit-diagram.svg"),
    show_default=True,
    help="The file to write: .svg or .png.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the numbers drawn as JSON.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def command(
    backbone: str | None,
    size: int | None,
    shape: tuple[int, int, int] | None,
    classes: int,
    image: Path | None,
    weights: str | None,
    dark: bool,
    out: Path,
    as_json: bool,
    debug: bool,
) -> None:
    """Draw what Flatten and global average pooling make of a feature map, to scale: SVG or PNG."""
    from headfit.inspection.diagram.make import Request, make_diagram  # noqa: PLC0415  (heavy)

    request = Request(backbone, size, shape, classes, image, weights, dark)
    facts = make_diagram(request, out, lambda text: click.echo(text, err=True))
    if as_json:
        click.echo(json.dumps(facts, indent=2, allow_nan=False))
        return
    click.echo(facts["sentence"])
    click.echo(f"Written: {out}")
