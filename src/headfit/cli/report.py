"""``headfit report``: write the page of a run again."""

from __future__ import annotations

import csv
import io
import json
from itertools import islice
from pathlib import Path
from typing import Any

import click

from headfit.cli.command import Command
from headfit.cli.console import tell
from headfit.cli.echo import echo
from headfit.cli.options import DATA, DEBUG, LINKS, PATH, option
from headfit.errors import DataError, ImageError, UsageError
from headfit.images.sources import find_source, open_source
from headfit.images.sources.dataset import PREFIX
from headfit.images.sources.source import ImageSource, links_remedy, quote
from headfit.runs.study import READABLE
from headfit.runs.written import was_written_here
from headfit.util import files
from headfit.util.csv_cells import unguard

EXAMPLES = """\b
Examples:
  headfit report headfit-run
  headfit report headfit-run --images moved/photos
  headfit report headfit-run --images photos.zip
"""
MOST_BYTES = 256 << 20
LOOKED_FOR = 20  # images of the run, one of which must be in the source


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("run", type=PATH)
@option(
    DATA,
    "--images",
    type=PATH,
    metavar="SOURCE",
    show_default="where the run read them",
    help="Where the images are now: a folder, table, archive or hf: data set, as for compare.",
)
@LINKS
@DEBUG
def command(run: Path, images: Path | None, follow_links: bool, debug: bool) -> None:
    """Write RUN/report.html again, from results.json and predictions.csv in RUN.

    Nothing is computed. Thumbnails come from the images, if they are still there.
    """
    from jinja2 import UndefinedError  # noqa: PLC0415  (heavy)

    from headfit.report.page import NAME, write_report  # noqa: PLC0415  (heavy)

    results = _results(run / "results.json")
    table = run / "predictions.csv"
    try:
        content = files.read_regular(table, MOST_BYTES) if table.exists() else b""
        predictions = content.decode("utf-8")
        stored = results["settings"].get("source")
        source = (
            _open(str(images), predictions, follow_links) if images else _stored(results, stored)
        )
        write_report(run / NAME, results, predictions, source, force=True)
    except OSError as error:
        raise DataError(f"Cannot read '{table}': {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"'{table}' is not UTF-8 text. Run compare again.") from error
    except (LookupError, TypeError, AttributeError, ValueError, UndefinedError) as error:
        raise DataError(
            f"'{run / 'results.json'}' lacks values that the page shows ({error}): another version "
            f"may have written it. Run compare again."
        ) from error
    echo(f"Written: {run / NAME}")


def _stored(results: dict[str, Any], stored: Any) -> ImageSource | None:
    """Find the source that the run itself names, if nobody else can have written its name."""
    if was_written_here(results):
        return find_source(stored)
    if isinstance(stored, dict):
        place = quote(str(stored.get("path", "")))
        tell(
            f"The page has no pictures: this run was not written on this machine, and says that "
            f"its images are in {place}. Set `images` to the place where they are."
        )
    return None


def _open(images: str, predictions: str, follow_links: bool) -> ImageSource:
    """Open a source, and see that it has images of the run."""
    from headfit.report.images import is_inside  # noqa: PLC0415  (heavy)

    if not images.startswith(PREFIX) and not Path(images).exists():
        expected = "a folder, a table, an archive, or hf: and the name of a data set"
        raise UsageError.invalid("images", images, expected, "There is no such file.")
    source = open_source(images, follow_links=follow_links)
    rows = csv.DictReader(io.StringIO(predictions, newline=""))
    paths = [unguard(str(row["path"])) for row in islice(rows, LOOKED_FOR)]
    names = [path for path in paths if is_inside(path)]
    reasons = []
    for name in names:
        try:
            source.read_bytes(name)
        except ImageError as error:
            reasons.append(f"'{name}': {error}")
    if names and len(reasons) == len(names):
        remedy = f"The first {len(names)} images of the run are not in it ({reasons[0]})."
        remedy += links_remedy(each.partition(": ")[2] for each in reasons)
        raise UsageError.invalid("images", images, "the source of the run's images", remedy)
    return source


def _results(path: Path) -> dict[str, Any]:
    try:
        results = json.loads(files.read_regular(path, MOST_BYTES).decode("utf-8"))
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
