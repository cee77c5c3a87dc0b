"""``headfit report``: the page of a run, anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from headfit.cli.command import Command
from headfit.errors import DataError, UsageError

EXAMPLES = """\b
Examples:
  headfit report headfit-run
  headfit report headfit-run --images moved/photos
"""


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    help="Where the images are now.  [default: where the run read them]",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def command(run: Path, images: Path | None, debug: bool) -> None:
    """Write report.html into RUN anew, from its results.json and predictions.csv.

    Nothing is computed; small pictures come from the images if they are still there.
    """
    from jinja2 import UndefinedError  # noqa: PLC0415  (heavy)

    from headfit.report.page import NAME, write_report  # noqa: PLC0415  (heavy)
    from headfit.report.view import image_folder  # noqa: PLC0415

    if images is not None and not images.is_dir():
        raise UsageError(f"--images '{images}' is not a folder; expected that of the run's images.")
    results = _results(run / "results.json")
    table = run / "predictions.csv"
    try:
        predictions = table.read_text("utf-8") if table.is_file() else ""
        folder = images or image_folder(results)
        write_report(run / NAME, results, predictions, folder, anew=True)
    except UnicodeDecodeError as error:
        raise DataError(f"'{table}' is not UTF-8 text; run compare anew.") from error
    except (LookupError, TypeError, AttributeError, ValueError, UndefinedError) as error:
        raise DataError(
            f"'{run / 'results.json'}' lacks what the page shows ({error}); it may be of another "
            f"version. Run compare anew."
        ) from error
    click.echo(f"Written: {run / NAME}")


def _results(path: Path) -> dict[str, Any]:
    try:
        results = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(
            f"'{path}' cannot be read: {error.strerror}; expected the folder that compare wrote."
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{path}' is not JSON: {error}. Run compare anew.") from error
    schema = results.get("schema") if isinstance(results, dict) else None
    if schema != "headfit.results/1":
        raise DataError(
            f"'{path}' has schema {schema!r}; this version reads headfit.results/1. "
            f"Use the headfit that wrote it."
        )
    found: dict[str, Any] = results
    return found
