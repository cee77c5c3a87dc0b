"""``headfit compare``: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from headfit.cli.command import Command
from headfit.cli.options import study_options

EXAMPLES = """\b
Examples:
  headfit compare photos                          photos/cat/*.jpg, photos/dog/*.png, …
  headfit compare photos --quick                  a first look
  headfit compare photos --backbone MobileNetV2 --size 160
  headfit compare photos --backbone MobileNetV2,ResNet50
  headfit compare photos --backbone VGG16 --size 96,160 --cut block4_pool,block5_pool
  headfit compare photos --groups 'patient(\\d+)'   one patient stays in one fold
  headfit compare photos --heads gap,flatten,gap-dropout0.4-512 --folds 10
  headfit compare photos --watch                  look on in a browser while it runs
  headfit compare photos --json > results.json    for machines
"""


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("images", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("headfit-run"),
    show_default=True,
    help="Folder for report.html, model.keras, results.json, predictions.csv, suspects.csv.",
)
@study_options("standard")
def command(images: Path, out: Path, as_json: bool, debug: bool, **options: Any) -> None:
    """Compare heads on the images in FOLDER, and train the best one.

    FOLDER holds a sub-folder for each class, or train/, val/ and test/ folders of those; the test
    split is never trained on and is scored once, at the end. Each image goes through the frozen
    backbone once; feature maps are kept, so a second run needs no backbone at all.
    """
    from headfit.cli.running import run_study  # noqa: PLC0415  (heavy)

    run_study(images, out, as_json, options)
