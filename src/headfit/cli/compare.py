"""``headfit compare``: which head suits a backbone on your images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from headfit.cli.command import Command
from headfit.cli.options import PROTOCOL, SOURCE, STUDY, option, out_option

EXAMPLES = """\b
Examples:
  headfit compare photos                            photos/cat/*.jpg, photos/dog/*.png, …
  headfit compare photos --quick                    a first look
  headfit compare photos.csv --label-column breed   a table of image files
  headfit compare photos.csv --label-column tags    cells such as sea;sky: several labels
  headfit compare photos.csv --label-column x,y     two numbers: where something is
  headfit compare photos.csv --label-column rating --target number
  headfit compare photos --backbone MobileNetV2 --size 160
  headfit compare photos --backbone MobileNetV2,ResNet50
  headfit compare photos --backbone VGG16 --size 96,160 --cut block4_pool,block5_pool
  headfit compare photos --groups 'patient(\\d+)'    all images of a patient in one fold
  headfit compare photos --heads gap,flatten,gap-dropout0.4-512 --folds 10
  headfit compare photos --watch                    follow the run in a browser
  headfit compare photos --track mlflow             record the run with MLflow too
  headfit compare photos --json > results.json      for scripts
"""


CLAIMS = option(
    PROTOCOL,
    "--claims",
    is_flag=True,
    help="Measure what common mistakes of evaluation would have claimed.",
)


@click.command(cls=Command, epilog=EXAMPLES)
@SOURCE
@out_option("headfit-run")
@STUDY
@CLAIMS
def command(images: Path, out: Path, as_json: bool, debug: bool, **options: Any) -> None:
    """Compare heads on the images of SOURCE, and train the best one.

    SOURCE is a folder that contains a sub-folder per class, or train/, val/ and test/ folders of
    those; a .zip or .tar archive of such a folder; or a table of image files: .csv, .tsv, .jsonl or
    .parquet. Test images are never trained on; they are scored once, at the end. Each image passes
    through the frozen backbone once: feature maps are stored, and a second run reuses them.
    """
    from headfit.cli.running import run_study  # noqa: PLC0415  (heavy)

    run_study(images, out, as_json, options)
