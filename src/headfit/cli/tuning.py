"""Run a fine-tuning or a sweep of its rate, and show it. Importing this takes two seconds."""

from __future__ import annotations

import inspect
from collections.abc import Collection
from pathlib import Path
from typing import Any

from headfit.cli.console import ConsoleCallback, output
from headfit.cli.show import show_study
from headfit.cli.tables import literal, plain_table, print_json
from headfit.cli.tracking import record, tracker_for
from headfit.cli.wording import CommandLineWords, command_line_errors
from headfit.errors import UsageError
from headfit.finetuning.memory import keep_freed_memory
from headfit.monitor.record import Recorder
from headfit.progress import Callback
from headfit.runs.earlier import is_run, read_run
from headfit.runs.finetune import finetune
from headfit.runs.finetune_rows import TRAINING
from headfit.runs.learning_rates import COLUMNS, PICTURES, row_shown, rows_shown
from headfit.runs.lr_find import lr_find
from headfit.util import files


def run_finetune(
    images: Path, out: Path, as_json: bool, options: dict[str, Any], set_by_user: Collection[str]
) -> None:
    """Fine-tune, save and show.

    Args:
        images: a source, or the folder of a run.
        out: folder for the results.
        as_json: whether to print ``results.json`` instead of the summary.
        options: of :func:`headfit.finetune`, and ``track``.
        set_by_user: names of the options that the user gave; a run decides the others.
    """
    tracker = tracker_for(options.pop("track"))
    files.check_writable(out)
    with command_line_errors():
        rates = options.pop("learning_rate")
        source = _source(images, options, set_by_user)
        options["learning_rate"] = _rates(rates)
    console = ConsoleCallback()
    recorder = Recorder(out, Path(source).name, console.on_message)
    with console, recorder, command_line_errors():
        callback = CommandLineWords([recorder, console, _KeepMemory()])
        study = finetune(source, callbacks=callback, **options)
        callback.on_stage_begin("Writing the model", 1)
        study.save(out)
    if as_json:
        print_json(study.results)
    else:
        show_study(output(), study.results, str(out))
    record(tracker, out)


def run_lr_find(
    images: Path, out: Path, as_json: bool, options: dict[str, Any], set_by_user: Collection[str]
) -> None:
    """Sweep the learning rate, draw it, print it; arguments as for :func:`run_finetune`."""
    files.check_writable(out)
    console = ConsoleCallback()
    with console, command_line_errors():
        taken = inspect.signature(lr_find).parameters
        source = _source(images, options, set_by_user)
        options = {name: value for name, value in options.items() if name in taken}
        rates = lr_find(source, callbacks=CommandLineWords([console]), **options)
        rates.save(out)
    if as_json:
        print_json(rates.results)
        return
    table = plain_table(COLUMNS, numbers=COLUMNS)
    for step in rows_shown(rates.results):
        bold = step["learning_rate"] == rates.suggested
        table.add_row(*row_shown(step), style="bold" if bold else "")
    output().print(literal(str(rates)), style="bold")
    output().print(table)
    output().print(literal(f"Files  {out}: {', '.join(PICTURES)}"))


class _KeepMemory(Callback):
    """Lets the process keep freed memory from the first training on: a step takes less time."""

    def on_stage_begin(self, name: str, total: float, unit: str = "") -> None:
        """See :class:`headfit.progress.Callback`."""
        if name == TRAINING:
            keep_freed_memory()


def _source(images: Path, options: dict[str, Any], set_by_user: Collection[str]) -> str:
    """Find the images; where they are those of a run, it decides what the user left open."""
    if not is_run(images):
        return str(images)
    source, run = read_run(images)
    options |= {name: value for name, value in run.items() if name not in set_by_user}
    return source


def _rates(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        expected = "one to three numbers, such as 1e-4,3e-4"
        raise UsageError.invalid("learning_rate", text, expected) from None
