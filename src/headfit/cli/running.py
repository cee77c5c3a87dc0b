"""Run a comparison for a person: progress, files, table.

Importing this takes two seconds, so commands do it when they run and not for their ``--help``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headfit.cli.console import ConsoleCallback, output, tell
from headfit.cli.show import show_study
from headfit.cli.tables import print_json
from headfit.cli.watching import until_interrupted
from headfit.cli.wording import CommandLineWords, command_line_errors
from headfit.monitor.record import Recorder
from headfit.runs.compare import compare
from headfit.util import files


def run_study(
    folder: Path, out: Path, as_json: bool, options: dict[str, Any], notes: tuple[str, ...] = ()
) -> None:
    """Compare, save and show; serve the page meanwhile with ``--watch``."""
    if options.pop("quick"):
        options["protocol"] = "quick"
    watch = options.pop("watch")
    files.check_writable(out)
    console = ConsoleCallback()
    recorder = Recorder(out, folder.name, console.on_message)
    with _served(recorder, out) if watch else contextlib.nullcontext():
        # an open page learns of the end before the terminal does
        with console, recorder, command_line_errors():
            callback = CommandLineWords([recorder, console])
            study = compare(folder, callbacks=callback, **options)
            callback.on_stage_begin("Writing the model", 1)
            study.save(out)
        _show(study.results, out, as_json, notes)
        if watch:
            until_interrupted()


def _show(results: dict[str, Any], out: Path, as_json: bool, notes: tuple[str, ...]) -> None:
    if as_json:
        print_json(results)
        return
    console = output()
    show_study(console, results, str(out))
    for note in notes:
        console.print(note, markup=False)


@contextlib.contextmanager
def _served(recorder: Recorder, out: Path) -> Iterator[None]:
    from headfit.monitor.server import serving  # noqa: PLC0415  (only for --watch)
    from headfit.monitor.site import Site  # noqa: PLC0415

    site = Site(recorder.to_dict, out)
    with serving(site) as address:
        tell(f"Watch: {address}")
        try:
            yield
        except BaseException:
            site.farewell()
            raise
