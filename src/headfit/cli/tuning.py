"""Run a fine-tuning and show it. Importing this takes two seconds."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from headfit.cli.console import ConsoleCallback, output
from headfit.cli.show import show_study
from headfit.cli.tables import print_json
from headfit.cli.wording import CommandLineWords, command_line_errors
from headfit.errors import UsageError
from headfit.monitor.record import Recorder
from headfit.runs.earlier import is_run, read_run
from headfit.runs.finetune import finetune
from headfit.util import files


def run_finetune(
    images: Path, out: Path, as_json: bool, options: dict[str, Any], set_by_user: Collection[str]
) -> None:
    """Fine-tune, save and show.

    Args:
        images: a source, or the folder of a run.
        out: folder for the results.
        as_json: whether to print ``results.json`` instead of the summary.
        options: of :func:`headfit.finetune`.
        set_by_user: names of the options that the user gave; a run decides the others.
    """
    files.check_writable(out)
    with command_line_errors():
        rates = options.pop("learning_rate")
        source, run = read_run(images) if is_run(images) else (str(images), {})
        options |= {name: value for name, value in run.items() if name not in set_by_user}
        options["learning_rate"] = _rates(rates)
    console = ConsoleCallback()
    recorder = Recorder(out, Path(source).name, console.on_message)
    with console, recorder, command_line_errors():
        callback = CommandLineWords([recorder, console])
        study = finetune(source, callbacks=callback, **options)
        callback.on_stage_begin("Writing the model", 1)
        study.save(out)
    if as_json:
        print_json(study.results)
    else:
        show_study(output(), study.results, str(out))


def _rates(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        expected = "one to three numbers, such as 3e-5,1e-4"
        raise UsageError.invalid("learning_rate", text, expected) from None
