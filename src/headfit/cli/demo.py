"""``headfit demo``: a comparison on data that comes with headfit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from headfit.cli.command import Command
from headfit.cli.compare import CLAIMS
from headfit.cli.console import tell
from headfit.cli.options import DATA, STUDY, option, out_option
from headfit.cli.tuning_options import named
from headfit.cli.wording import in_command_line_words
from headfit.samples.catalog import find_sample, names, write_sample
from headfit.util.cache import SAMPLES

EXAMPLES = """\b
Examples:
  headfit demo                   photographs of solar cells: intact or defective?
  headfit demo --data where      the class depends on position: Flatten is necessary
  headfit demo --data what       the class does not depend on position: Flatten is not necessary
  headfit demo --data position   two numbers: where is the disc? An average over positions fails
  headfit demo --data position --label-column colour   a number that needs no position
  headfit demo --data labels     several labels: which shapes and colours are in the image?
"""
MORE_HEADS = "--heads adds others, such as --heads gap,flatten,gap-1024-1024-512"


@click.command(cls=Command, epilog=EXAMPLES)
@option(
    DATA,
    "--data",
    "name",
    metavar=f"[{'|'.join(names())}]",
    default="solar-cells",
    help="The images, and the question.",
)
@out_option("headfit-demo")
@STUDY
@CLAIMS
@click.pass_context
def command(
    context: click.Context, /, name: str, out: Path, as_json: bool, debug: bool, **options: Any
) -> None:
    """Run a comparison on data that comes with headfit. Nothing is downloaded."""
    sample = find_sample(name)
    seed = options["seed"]
    folder = write_sample(sample.name, SAMPLES.path(f"{sample.name}-{seed}"), seed=seed)
    if not as_json:
        for line in (f"{sample.title} ({sample.licence})", *sample.notes):
            tell(in_command_line_words(line))
    from headfit.cli.running import run_study  # noqa: PLC0415  (heavy)

    closing = {"Published": sample.published, "Next": "" if options["heads"] else MORE_HEADS}
    by_user = {name: options[name] for name in named(context, options)}
    chosen = {**options, **sample.read, **sample.study, **by_user}
    run_study(folder / sample.table, out, as_json, chosen, closing)
