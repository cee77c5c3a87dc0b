"""``headfit heads``: what can stand on a backbone."""

from __future__ import annotations

import json

import click
from rich import box
from rich.table import Table

from headfit.cli.command import Command
from headfit.cli.console import output
from headfit.errors import UsageError
from headfit.heads.chain import Head, parse_head
from headfit.heads.pooling import pooling_names
from headfit.heads.presets import RECORDS

EXAMPLES = """\b
Examples:
  headfit heads
  headfit heads --map 7,7,1280 --classes 10
"""


class MapShape(click.ParamType[tuple[int, int, int]]):
    """Three whole numbers above 0, separated by commas."""

    name = "H,W,C"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int, int]:
        """Read ``"7,7,1280"``."""
        parts = str(value).split(",") if not isinstance(value, tuple) else [str(v) for v in value]
        if len(parts) != 3 or not all(part.strip().isdecimal() and int(part) for part in parts):
            self.fail(f"'{value}' is not a map shape such as 7,7,1280.", param, ctx)
        height, width, channels = map(int, parts)
        return height, width, channels


@click.command(cls=Command, epilog=EXAMPLES)
@click.option(
    "--map",
    "shape",
    type=MapShape(),
    default=(7, 7, 1280),
    help="Shape of the feature map.  [default: 7,7,1280]",
)
@click.option("--classes", type=click.IntRange(min=2), default=10, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, no table.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def command(shape: tuple[int, int, int], classes: int, as_json: bool, debug: bool) -> None:
    """List heads with their formula and parameter count for a given feature map."""
    records = [_record(name, name, shape, classes) for name in pooling_names()]
    records += [_record(p.name, p.chain, shape, classes) for p in RECORDS.values()]
    if as_json:
        click.echo(json.dumps(records, indent=2))
        return
    table = Table(box=box.SIMPLE_HEAD)
    for name, justify in (("head", "left"), ("formula or chain", "left"), ("parameters", "right")):
        table.add_column(name, justify="right" if justify == "right" else "left", overflow="fold")
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
