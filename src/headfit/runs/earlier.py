"""A comparison that was written here before, as the start of another run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from headfit.backbones import catalog
from headfit.errors import UsageError
from headfit.images.sources import find_source
from headfit.images.sources.source import ImageSource, quote
from headfit.runs.study import READABLE
from headfit.runs.written import was_written_here
from headfit.util import records

NAME = "results.json"
_SAME = ("weights", "preprocessing", "seed", "rope", "class_weight", "groups", "near_duplicates")


def is_run(path: Path) -> bool:
    """Whether a path is the folder of a run."""
    return (path / NAME).is_file()


def read_run(path: Path) -> tuple[str, dict[str, Any]]:
    """Find the images of a comparison, and the settings that go on with it.

    Args:
        path: its folder.

    Returns:
        What a command calls the images; then arguments of :func:`headfit.finetune`: backbone, size
        and head of the recommended candidate, how the images are read, and what decides folds and
        groups.

    Raises:
        UsageError: it was written elsewhere, or its images are gone, or it cannot be continued.
        DataError: it is damaged.
    """
    file = path / NAME
    with records.reading(file, "lacks values that a run goes on from"):
        results = records.read_json(file)
        if results["schema"] not in READABLE:
            raise ValueError(f"its schema is {str(results['schema'])[:40]!r}")
        source = _source(results, path)
        reading = {name: value for name, value in source.options.items() if value is not None}
        return source.argument, {**reading, **_settings(results)}


def _source(results: dict[str, Any], path: Path) -> ImageSource:
    record = results["settings"]["source"]
    if not was_written_here(results):
        raise UsageError(
            f"{quote(str(path))} was not written on this machine, so its word on where images are "
            f"is not taken. Name the folder or table of the images instead of the run."
        )
    source = find_source(record)
    if source is None:
        place = quote(str(record.get("path", "")))
        raise UsageError(
            f"The images of {quote(str(path))} are not in {place} any more. Name the folder or "
            f"table of the images instead of the run."
        )
    return source


def _backbone(name: str, command: str) -> str:
    """Give what names a backbone; a custom one is found as the command that used it wrote it."""
    if name in catalog.names():
        return name
    words = [word.removeprefix("--") for word in shlex.split(command)]
    written = words[words.index("backbone") + 1].split(",")
    return next(each for each in written if catalog.find(each).name == name)


def _settings(results: dict[str, Any]) -> dict[str, Any]:
    settings, name = results["settings"], results["verdict"]["recommended"]
    (chosen,) = [each for each in results["candidates"] if each["name"] == name]
    if chosen["cut"]:
        raise UsageError(
            f"The recommended head of this run is on an inner layer, {chosen['cut']}, which "
            f"fine-tuning does not take. Name the images and a head on the backbone's own end."
        )
    place = next(each for each in results["backbones"] if each["backbone"] == chosen["backbone"])
    same = {name: settings[name] for name in _SAME if name in settings}
    return {
        **same,
        "backbone": _backbone(chosen["backbone"], settings["command"]),
        "weights": place["weights"],
        "size": chosen["input_size"],
        "head": chosen["head"],
    }
