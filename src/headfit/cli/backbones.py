"""``headfit backbones``: the backbones there are."""

from __future__ import annotations

import click

from headfit.backbones import catalog
from headfit.cli.command import Command
from headfit.cli.console import output
from headfit.cli.options import REPORTING
from headfit.cli.tables import plain_table, print_json

EXAMPLES = """\b
Examples:
  headfit backbones
  headfit backbones --json
"""
CUSTOM = (
    "Your own model works too: --backbone FILE.keras, FILE.h5, module:function or hub:PRESET. "
    "It is cut before its last pooling or Flatten layer."
)


@click.command(cls=Command, epilog=EXAMPLES)
@REPORTING
def command(as_json: bool, debug: bool) -> None:
    """List backbones with their input size and where their weights come from.

    You can also use your own model: see docs/backbones.md.
    """
    records = [_record(catalog.find(name)) for name in catalog.names()]
    if as_json:
        print_json(records)
        return
    numbers = ("size", "smallest")
    table = plain_table(("backbone", *numbers, "weights"), numbers)
    for record in records:
        table.add_row(*map(str, record.values()))
    console = output()
    console.print(table)
    console.print()
    console.print(CUSTOM, markup=False)


def _record(spec: catalog.BackboneSpec) -> dict[str, str | int]:
    package = spec.package.replace("_", "-")
    return {
        "name": spec.name,
        "input_size": spec.size,
        "min_size": spec.min_size,
        "weights": f"package {package}" if package else "downloaded by Keras on first use",
    }
