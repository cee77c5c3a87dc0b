"""``headfit inspect``: what a backbone or a saved model is made of, and what looks wrong in it."""

from __future__ import annotations

import json
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from headfit.cli.command import Command
from headfit.cli.console import output
from headfit.inspection.inspect import inspect

MILLION = 10**6
EXAMPLES = """\b
Examples:
  headfit inspect VGG16
  headfit inspect MobileNetV2 --size 160 --classes 10
  headfit inspect VGG16 --classes 10 --head flatten-256
  headfit inspect my-model.keras --classes 5
  headfit inspect old-model.h5 --json
"""


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("model")
@click.option(
    "--size",
    type=int,
    help="Side of the input in pixels.  [default: the model's own; 224 if it is open]",
)
@click.option(
    "--classes",
    type=int,
    help="How many classes there are.  [default: what the model has; 1000 if it does not say]",
)
@click.option("--head", help="Ask for one head, a chain such as gap-1024 or flatten-4096-4096.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, no table.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def command(
    model: str,
    size: int | None,
    classes: int | None,
    head: str | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Take MODEL apart: where the feature map ends, what its head holds, what others would cost.

    MODEL is a .keras or .h5 file, or the name of a backbone, which is shown with the top that it
    was published with. A file is also searched for well-known mistakes. Nothing is downloaded, and
    no code in a file is run.
    """
    document = inspect(model, size, classes, head)
    if as_json:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        _show(output(), document)


def _show(console: Console, document: dict[str, Any]) -> None:
    console.print(_title(document), markup=False)
    if document["assumed"]:
        options = " and ".join(f"--{name}" for name in document["assumed"])
        console.print(f"The file does not say: assumed. Say it with {options}.", markup=False)
    console.print(_layers(document))
    for sentence in document["sentences"]:
        console.print(sentence, markup=False)
    console.print(_cost(document), markup=False)
    console.print()
    console.print(_alternatives(document))
    for finding in document["findings"]:
        console.print(f"! {finding['code']}: {finding['message']}", markup=False)
    for unseen in document["unseen"]:
        console.print(f"? {unseen['code']}: {unseen['message']}", markup=False)
    if document["unseen"] and not document["findings"]:
        console.print("No mistake found otherwise.")


def _title(document: dict[str, Any]) -> str:
    size = document["input_size"]
    pixels = f"{size} px" if isinstance(size, int) else f"{size[0]}×{size[1]} px"
    shape = _shape(document["map_shape"])
    name, model = document["backbone"], document["model"]
    same = name.lower() == model.lower().replace("_", "").replace("-", "")
    named = name if same or name == model else f"{model}: {name}"
    return f"{named} at {pixels}, {document['classes']:,} classes: feature map {shape}"


def _layers(document: dict[str, Any]) -> Table:
    table = _table(("layer", "type", "output", "parameters", "% of model", "multiply-adds"), 3)
    total = document["parameters"]["total"]
    before = [layer for layer in document["layers"] if layer["part"] == "backbone"]
    for number, layer in enumerate(document["layers"]):
        cells = (layer["name"], layer["type"], _shape(layer["output_shape"]))
        count, work = layer["parameters"], layer["multiply_adds"]
        table.add_row(
            *map(_plain, cells),
            f"{count:,}" if count else "",
            f"{100 * count / total:.1f}" if count else "",
            f"{work:,}" if work else "",
            end_section=number == len(before) - 1,
        )
    return table


def _cost(document: dict[str, Any]) -> str:
    parts, memory, work = (document[key] for key in ("parameters", "memory", "multiply_adds"))
    return (
        f"Backbone {parts['backbone']:,} parameters, head {parts['head']:,}. "
        f"Weights {_bytes(memory['weights_bytes'])}; activations "
        f"{_bytes(memory['activations_bytes'])} for an image when training; multiply-adds for an "
        f"image {_millions(work['backbone'])} in the backbone, {_millions(work['head'])} in the "
        f"head."
    )


def _alternatives(document: dict[str, Any]) -> Table:
    columns = ("head instead", "features", "its parameters", "in all", "% of all")
    table = _table(columns, 1)
    for other in document["alternatives"]:
        own, total = other["parameters"]["head"], other["parameters"]["total"]
        table.add_row(
            other["head"],
            f"{other['features']:,}",
            f"{own:,}",
            f"{total:,}",
            f"{100 * own / total:.1f}",
        )
    return table


def _table(columns: tuple[str, ...], left: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number < left else "right", overflow="fold")
    return table


def _shape(shape: list[int | None]) -> str:
    return "×".join("?" if length is None else str(length) for length in shape)


def _bytes(count: int) -> str:
    return f"{count / MILLION:,.1f} MB"


def _millions(count: int) -> str:
    return f"{count / MILLION:,.1f} million" if count >= MILLION / 10 else f"{count:,}"


def _plain(text: str) -> Text:
    """Text that rich shows as it is: a layer called [red] is only a name."""
    return Text(text.encode("utf-8", "backslashreplace").decode())
