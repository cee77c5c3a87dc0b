"""``headfit demo``: the main job on data that an install carries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from headfit.cli.command import Command
from headfit.cli.options import study_options
from headfit.samples.catalog import find_sample, names, write_sample
from headfit.util import files

EXAMPLES = """\b
Examples:
  headfit demo                   photographs of solar cells: sound or defective?
  headfit demo --data where      the class is where the disc lies: Flatten is necessary
  headfit demo --data what       the class is what the patch shows, anywhere: it is not
"""


@click.command(cls=Command, epilog=EXAMPLES)
@click.option(
    "--data", "name", default="solar-cells", show_default=True, help=f"One of {', '.join(names())}."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("headfit-demo"),
    show_default=True,
    help="Folder for report.html, model.keras, results.json, predictions.csv, suspects.csv.",
)
@study_options("quick")
def command(name: str, out: Path, as_json: bool, debug: bool, **options: Any) -> None:
    """Run a comparison on data that comes with headfit; nothing is downloaded."""
    sample = find_sample(name)
    seed = options["seed"]
    folder = write_sample(
        sample.name, files.home() / "samples" / f"{sample.name}-{seed}", seed=seed
    )
    if not as_json:
        click.echo(f"{sample.title} ({sample.licence})", err=True)
    from headfit.cli.running import run_study  # noqa: PLC0415  (heavy)

    run_study(folder, out, as_json, options, sample.notes)
