"""``headfit heads``: the heads there are."""

from __future__ import annotations

import click

from headfit.cli.command import Command
from headfit.cli.console import output
from headfit.cli.options import CLASSES, REPORTING, map_option
from headfit.cli.tables import plain_table, print_json
from headfit.errors import UsageError
from headfit.heads.chain import Head, parse_head
from headfit.heads.pooling import pooling_names
from headfit.heads.presets import RECORDS

EXAMPLES = """\b
Examples:
  headfit heads
  headfit heads --map 7,7,1280 --classes 10
"""


@click.command(cls=Command, epilog=EXAMPLES)
@map_option(default="7,7,1280", help="Shape of the feature map: height, width, channels.")
@CLASSES
@REPORTING
def command(map_shape: tuple[int, int, int], classes: int, as_json: bool, debug: bool) -> None:
    """List heads with their formula and parameter count on a feature map."""
    records = [_record(name, name, map_shape, classes) for name in pooling_names()]
    records += [_record(p.name, p.chain, map_shape, classes) for p in RECORDS.values()]
    if as_json:
        print_json(records)
        return
    table = plain_table(("head", "formula or chain", "parameters"), ["parameters"])
    for record in records:
        count = record["parameters"]
        shown = f"{count:,}" if isinstance(count, int) else "map too small"
        table.add_row(str(record["name"]), str(record["formula"]), shown)
    output().print(table)


def _record(
    name: str, chain: str, shape: tuple[int, int, int], classes: int
) -> dict[str, str | int | bool | None]:
    head = parse_head(chain)
    return {
        "name": name,
        "chain": head.name,
        "formula": head.pooling.formula if name == head.name else head.name,
        "source": head.pooling.source,
        "position_aware": head.position_aware,
        "parameters": head.parameters(shape, classes) if _fits(head, shape) else None,
    }


def _fits(head: Head, shape: tuple[int, int, int]) -> bool:
    try:
        head.pooling.check(shape)
    except UsageError:
        return False
    return True
