"""``headfit report``: the page of a run, written anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from headfit.cli.console import output
from headfit.errors import DataError, UsageError

EXAMPLES = """\b
Examples:
  headfit report headfit-run
  headfit report headfit-run --images elsewhere/photos
"""
SCHEMA = "headfit.results/1"
MAX_BYTES = 256 * 1024**2


@click.command(epilog=EXAMPLES)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    help="Where the images lie now.  [default: where they lay in the run]",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def command(run: Path, images: Path | None, debug: bool) -> None:
    """Write RUN/report.html anew from RUN/results.json and RUN/predictions.csv.

    RUN is the folder of a comparison. The page is one file that needs nothing else; small pictures
    of images are in it as long as the images are where they were.
    """
    from headfit.report.html import NAME, write_report  # noqa: PLC0415  (heavy)
    from headfit.report.view import image_folder  # noqa: PLC0415

    if images is not None and not images.is_dir():
        raise UsageError(f"--images '{images}' is no folder; give the one that was compared.")
    results = _results(run / "results.json")
    table = run / "predictions.csv"
    predictions = table.read_text("utf-8") if table.is_file() else ""
    write_report(run / NAME, results, predictions, images or image_folder(results), anew=True)
    output().print(f"Written: {run / NAME}", markup=False)


def _results(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UsageError(
            f"'{path}' does not exist; RUN is the folder that a comparison was written to."
        )
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"'{path}' has more than {MAX_BYTES:,} bytes; no comparison writes that.")
    try:
        results = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise DataError(f"'{path}' is no JSON: {error}.") from None
    found = results.get("schema") if isinstance(results, dict) else None
    if found != SCHEMA:
        raise DataError(f"'{path}' has the schema {found!r}; expected {SCHEMA}.")
    checked: dict[str, Any] = results
    return checked
