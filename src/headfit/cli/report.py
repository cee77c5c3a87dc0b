"""``headfit report``: write the page of a run again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from headfit.cli.command import Command
from headfit.cli.options import DATA, DEBUG, PATH, option
from headfit.errors import DataError, UsageError
from headfit.images.sources import find_source
from headfit.images.sources.folder import FolderSource
from headfit.runs.study import READABLE

EXAMPLES = """\b
Examples:
  headfit report headfit-run
  headfit report headfit-run --images moved/photos
"""


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("run", type=PATH)
@option(
    DATA,
    "--images",
    type=PATH,
    metavar="FOLDER",
    show_default="where the run read them",
    help="Where the images are now.",
)
@DEBUG
def command(run: Path, images: Path | None, debug: bool) -> None:
    """Write RUN/report.html again, from results.json and predictions.csv in RUN.

    Nothing is computed. Thumbnails come from the images, if they are still there.
    """
    from jinja2 import UndefinedError  # noqa: PLC0415  (heavy)

    from headfit.report.page import NAME, write_report  # noqa: PLC0415  (heavy)

    if images is not None and not images.is_dir():
        raise UsageError.invalid("images", str(images), "the folder of the run's images")
    results = _results(run / "results.json")
    table = run / "predictions.csv"
    try:
        predictions = table.read_text("utf-8") if table.is_file() else ""
        source = find_source(results["settings"].get("source"))
        folder = FolderSource(images) if images else source
        write_report(run / NAME, results, predictions, folder, force=True)
    except UnicodeDecodeError as error:
        raise DataError(f"'{table}' is not UTF-8 text. Run compare again.") from error
    except (LookupError, TypeError, AttributeError, ValueError, UndefinedError) as error:
        raise DataError(
            f"'{run / 'results.json'}' lacks values that the page shows ({error}): another version "
            f"may have written it. Run compare again."
        ) from error
    click.echo(f"Written: {run / NAME}")


def _results(path: Path) -> dict[str, Any]:
    try:
        results = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(
            f"Cannot read '{path}': {error.strerror}. RUN must be a folder written by compare."
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{path}' is not valid JSON: {error}. Run compare again.") from error
    schema = results.get("schema") if isinstance(results, dict) else None
    if schema not in READABLE:
        raise DataError(
            f"'{path}' has schema {schema!r}, and this version reads {' and '.join(READABLE)}. Use "
            f"the version of headfit that wrote it."
        )
    return dict(results)
