"""``headfit board``: many comparisons from one list, side by side."""

from __future__ import annotations

from pathlib import Path

import click

from headfit.cli.command import OUTPUT, Command
from headfit.cli.options import PATH, REPORTING, option

EXAMPLES = """\b
Examples:
  headfit board board.toml               run what has no record yet, and show the board
  headfit board board.toml --out board   records and tables in the folder board
  headfit board headfit-board            show the records of a folder again
  headfit board board.toml --group       a table for each protocol and metric
  headfit board headfit-board --json > board.json

\b
board.toml:
  [defaults]
  backbone = ["efficientnet_lite0", "MobileNetV2"]
  heads = ["gap", "flatten", "spp"]

\b
  [[run]]
  source = "demo:digits"

\b
  [[run]]
  source = "photos"
  size = [96, 224]
"""


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("place", metavar="FILE.toml|FOLDER", type=PATH)
@option(
    OUTPUT,
    "--out",
    type=PATH,
    metavar="PATH",
    show_default="headfit-board, or FOLDER itself",
    help="Folder for the records and the board.",
)
@option(
    OUTPUT,
    "--group",
    is_flag=True,
    help="Put records that cannot stand side by side into a table for each kind.",
)
@REPORTING
def command(place: Path, out: Path | None, group: bool, as_json: bool, debug: bool) -> int:
    """Run a list of comparisons and put their results side by side.

    FILE.toml lists the runs: a source and the options of headfit compare. A list of backbones,
    sizes or cuts makes a run of each. What has a record in FOLDER/records is not run again. With a
    FOLDER nothing is run: its records are put side by side. Stop at any time: the same command goes
    on from there. A run that fails is listed, and the exit code is 1.
    """
    from headfit.cli.show_board import run_board, show_folder  # noqa: PLC0415  (heavy)

    if place.is_dir():
        return show_folder(place, out, group=group, as_json=as_json)
    return run_board(place, out or Path("headfit-board"), group=group, as_json=as_json)
