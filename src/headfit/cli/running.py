"""Run a comparison for a person: progress, files, table.

Importing this takes two seconds, so commands do it when they run and not for their ``--help``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from headfit import files
from headfit.cli.console import ConsoleWatcher, output
from headfit.cli.show import show_study
from headfit.pipeline import compare


def run_study(
    folder: Path, out: Path, as_json: bool, options: dict[str, Any], notes: tuple[str, ...] = ()
) -> None:
    """Compare, save and show."""
    if options.pop("quick"):
        options["protocol"] = "quick"
    files.check_writable(out)
    with ConsoleWatcher() as watcher:
        study = compare(folder, watcher=watcher, **options)
        watcher.stage("Writing the model", 1)
        study.save(out)
    if as_json:
        click.echo(json.dumps(study.results, indent=2))
        return
    console = output()
    show_study(console, study.results, str(out))
    for note in notes:
        console.print(note, markup=False)
