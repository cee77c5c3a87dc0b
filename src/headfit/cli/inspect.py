"""``headfit inspect``: what a backbone or a saved model is made of, and mistakes in it."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.table import Table

from headfit.cli.command import Command
from headfit.cli.console import output
from headfit.cli.options import HEADS, MODEL, REPORTING, option, size_option
from headfit.cli.tables import literal, plain_table, print_json
from headfit.cli.wording import in_command_line_words
from headfit.inspection.inspect import inspect
from headfit.util.machine import in_words

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
@size_option(group=MODEL, show_default="from the model, else 224")
@option(
    MODEL,
    "--classes",
    type=int,
    metavar="N",
    show_default="from the model, else 1000",
    help="Number of classes.",
)
@option(
    HEADS,
    "--head",
    metavar="HEAD",
    help="Show what this one head would cost, for instance gap-1024 or flatten-4096-4096.",
)
@REPORTING
def command(
    model: str, size: int | None, classes: int | None, head: str | None, as_json: bool, debug: bool
) -> None:
    """Show what MODEL consists of, what other heads would cost, and likely mistakes in it.

    MODEL is a .keras or .h5 file, or the name of a backbone, which is shown with its published top.
    Files are also searched for well-known mistakes. Nothing is downloaded, and no code in a file is
    run.
    """
    document = inspect(model, size=size, classes=classes, head=head).to_dict()
    if as_json:
        print_json(document)
    else:
        _show(output(), document)


def _show(console: Console, document: dict[str, Any]) -> None:
    console.print(_title(document), markup=False)
    if document["assumed"]:
        options = " and ".join(f"--{name}" for name in document["assumed"])
        console.print(f"Assumed, as the file does not say: set {options}.", markup=False)
    console.print()
    console.print(_layers(document))
    console.print()
    for sentence in [*document["sentences"], _cost(document)]:
        console.print(in_command_line_words(sentence), markup=False)
    console.print()
    console.print(_alternatives(document))
    if document["findings"] or document["unseen"]:
        console.print()
    for mark, finding in [
        *(("!", each) for each in document["findings"]),
        *(("?", each) for each in document["unseen"]),
    ]:
        message = in_command_line_words(finding["message"])
        console.print(f"{mark} {finding['code']}: {message}", markup=False)
    if document["unseen"] and not document["findings"]:
        console.print("No other mistake was found.")


def _title(document: dict[str, Any]) -> str:
    size = document["input_size"]
    pixels = f"{size} px" if isinstance(size, int) else f"{size[0]}×{size[1]} px"
    shape = _shape(document["map_shape"])
    name, model = document["backbone"], document["model"]
    same = name.lower() == model.lower().replace("_", "").replace("-", "")
    named = name if same or name == model else f"{model}: {name}"
    return f"{named} at {pixels}, {document['classes']:,} classes: feature map {shape}"


def _layers(document: dict[str, Any]) -> Table:
    numbers = ("parameters", "% of model", "multiply-adds")
    table = plain_table(("layer", "type", "output", *numbers), numbers)
    total = document["parameters"]["total"]
    before = [layer for layer in document["layers"] if layer["part"] == "backbone"]
    for number, layer in enumerate(document["layers"]):
        cells = (layer["name"], layer["type"], _shape(layer["output_shape"]))
        count, work = layer["parameters"], layer["multiply_adds"]
        table.add_row(
            *map(literal, cells),
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
        f"Weights {in_words(memory['weights_bytes'])}; activations "
        f"{in_words(memory['activations_bytes'])} per image in training; multiply-adds per image: "
        f"{_millions(work['backbone'])} in the backbone, {_millions(work['head'])} in the head."
    )


def _alternatives(document: dict[str, Any]) -> Table:
    numbers = ("features", "parameters", "whole model", "% of model")
    table = plain_table(("other head", *numbers), numbers)
    for other in document["alternatives"]:
        head, total = other["parameters"]["head"], other["parameters"]["total"]
        table.add_row(
            other["head"],
            f"{other['features']:,}",
            f"{head:,}",
            f"{total:,}",
            f"{100 * head / total:.1f}",
        )
    return table


def _shape(shape: list[int | None]) -> str:
    return "×".join("?" if length is None else str(length) for length in shape)


def _millions(count: int) -> str:
    return f"{count / MILLION:,.1f} million" if count >= MILLION / 10 else f"{count:,}"
