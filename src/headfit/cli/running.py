"""Run a comparison and show it: progress, files, summary.

Importing this takes two seconds, so commands do it when they run and not for their ``--help``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from headfit.cli.console import ConsoleCallback, output, tell, until_interrupted
from headfit.cli.show import show_study
from headfit.cli.tables import print_json
from headfit.cli.tracking import record, tracker_for
from headfit.cli.wording import CommandLineWords, command_line_errors
from headfit.monitor.record import Recorder
from headfit.runs.compare import compare
from headfit.util import files


def run_study(
    images: Path,
    out: Path,
    as_json: bool,
    options: dict[str, Any],
    closing: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Compare, save and show; serve the page meanwhile with ``--watch``.

    Args:
        images: where they are.
        out: folder for the results.
        as_json: whether to print ``results.json`` instead of the summary.
        options: of the comparison, and ``quick``, ``watch`` and ``track``.
        closing: lines that end the summary, by their labels.
    """
    if options.pop("quick"):
        options["protocol"] = "quick"
    watch, tracker = options.pop("watch"), tracker_for(options.pop("track"))
    files.check_writable(out)
    console = ConsoleCallback()
    recorder = Recorder(out, images.name, console.on_message)
    with _served(recorder, out) if watch else contextlib.nullcontext():
        # an open page learns of the end before the terminal does
        with console, recorder, command_line_errors():
            callback = CommandLineWords([recorder, console])
            study = compare(images, callbacks=callback, **options)
            callback.on_stage_begin("Writing the model", 1)
            study.save(out)
        if as_json:
            print_json(study.results)
        else:
            show_study(output(), study.results, str(out), closing)
        record(tracker, out)
        if watch:
            until_interrupted()


@contextlib.contextmanager
def _served(recorder: Recorder, out: Path) -> Iterator[None]:
    from headfit.monitor.server import serving  # noqa: PLC0415  (only for --watch)
    from headfit.monitor.site import Site  # noqa: PLC0415
    from headfit.monitor.token import token_of  # noqa: PLC0415

    site = Site(recorder.to_dict, out)
    with serving(site, token_of(out)) as address:
        tell(f"Watch: {address}")
        try:
            yield
        except BaseException:
            site.farewell()
            raise
