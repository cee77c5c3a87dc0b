"""``headfit backbones``: what heads can stand on."""

from __future__ import annotations

import json

import click
from rich import box
from rich.table import Table

from headfit.backbones import catalog
from headfit.cli.command import Command
from headfit.cli.console import output

EXAMPLES = """\b
Examples:
  headfit backbones
  headfit backbones --json
"""
OWN = (
    "Models of your own: --backbone FILE.keras, FILE.h5, module:function or hub:PRESET. They end "
    "before their own pooling or flatten."
)


@click.command(cls=Command, epilog=EXAMPLES)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, no table.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def command(as_json: bool, debug: bool) -> None:
    """List the backbones with their input size and where their weights come from.

    A model of your own can be one as well: see docs/backbones.md.
    """
    records = [_record(catalog.find(name)) for name in catalog.names()]
    if as_json:
        click.echo(json.dumps(records, indent=2))
        return
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("backbone")
    table.add_column("size", justify="right")
    table.add_column("smallest", justify="right")
    table.add_column("weights")
    for record in records:
        table.add_row(*map(str, record.values()))
    console = output()
    console.print(table)
    console.print(OWN, markup=False, highlight=False)


def _record(spec: catalog.BackboneSpec) -> dict[str, str | int]:
    package = spec.package.replace("_", "-")
    source = f"package {package}" if package else "Keras' download, kept in its cache"
    return {
        "name": spec.name,
        "input_size": spec.size,
        "min_size": spec.min_size,
        "weights": source,
    }
