"""``headfit report``: write the page of a run again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from headfit.cli.command import Command
from headfit.cli.console import tell
from headfit.cli.echo import echo
from headfit.cli.options import DATA, DEBUG, LINKS, PATH, option
from headfit.errors import DataError, ImageError, UsageError
from headfit.images.sources import find_source, open_source
from headfit.images.sources.dataset_rows import PREFIX
from headfit.images.sources.source import ImageSource, links_remedy, quote
from headfit.runs.study import READABLE
from headfit.runs.written import was_written_here
from headfit.util import files, records

EXAMPLES = """\b
Examples:
  headfit report headfit-run
  headfit report headfit-run --images moved/photos
  headfit report headfit-run --images photos.zip
"""
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
    from jinja2 import TemplateError  # noqa: PLC0415  (heavy)

    from headfit.report.page import NAME, write_report  # noqa: PLC0415  (heavy)

    file, fault = run / "results.json", "lacks values that the page shows"
    results, predictions = _results(file), _predictions(run / "predictions.csv")
    with records.reading(file, fault):
        if images is None:
            source = _stored(results)
        else:
            source = _open(str(images), predictions, follow_links)
    with records.reading(file, fault, TemplateError, UsageError):
        write_report(run / NAME, results, predictions, source, force=True)
    echo(f"Written: {run / NAME}")


def _stored(results: dict[str, Any]) -> ImageSource | None:
    """Find the source that the run itself names, if nobody else can have written its name."""
    stored = results["settings"].get("source")
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
    from headfit.report.view import paths_in  # noqa: PLC0415

    if not images.startswith(PREFIX) and not Path(images).exists():
        expected = "a folder, a table, an archive, or hf: and the name of a data set"
        raise UsageError.invalid("images", images, expected, "There is no such file.")
    source = open_source(images, follow_links=follow_links)
    names = [path for path in paths_in(predictions, LOOKED_FOR) if is_inside(path)]
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
        results = records.read_json(path)
    except OSError as error:
        raise UsageError(
            f"Cannot read '{path}': {error.strerror}. RUN must be a folder written by compare."
        ) from error
    schema = results.get("schema") if isinstance(results, dict) else None
    if schema not in READABLE:
        raise DataError(
            f"'{path}' has schema {repr(schema)[:40]}, and this version reads "
            f"{' and '.join(READABLE)}. Use the version of headfit that wrote it."
        )
    return dict(results)


def _predictions(path: Path) -> str:
    try:
        content = files.read_regular(path, records.MOST_BYTES) if path.exists() else b""
        return content.decode("utf-8")
    except OSError as error:
        raise DataError(f"Cannot read '{path}': {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"'{path}' is not UTF-8 text. Run compare again.") from error
