"""The declared list of a board: a TOML file, whose lists multiply to runs."""

from __future__ import annotations

import contextlib
import itertools
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from headfit.errors import DataError, HeadfitError, UnknownNameError, UsageError
from headfit.runs.options import Options
from headfit.util import files

MAX_BYTES = 128 << 10
MAX_DOTS = 100  # in a line: the time to read a key a.b.c… grows with the square of its parts
MAX_RUNS = 300
NAME = re.compile(r"\w[\w.+-]{0,99}")
DEMO, DATASET = "demo:", "hf:"
MULTIPLIED = ("source", "backbone", "weights", "size", "cut")
"""Each value of a list makes a run; lists of other keys belong to one run."""
LISTED = (*MULTIPLIED, "heads", "label_column")
PATHS = ("source", "root", "groups", "backbone", "weights", "heads")
LEFT_OUT = {"keep": "models", "curve": "learning curves"}
"""What a record does not hold."""
OPTIONS = tuple(each.name for each in fields(Options) if each.name not in LEFT_OUT)
_Kinds = tuple[type, ...]
_TEXT: tuple[_Kinds, str] = ((str,), "a text")
_KINDS: dict[str, tuple[_Kinds, str]] = {
    **dict.fromkeys(("folds", "repeats", "seed"), ((int,), "a whole number")),
    "rope": ((int, float), "a number"),
    "size": ((int, str), "a whole number"),
    **{
        each.name: ((bool,), "true or false")
        for each in fields(Options)
        if str(each.type).startswith("bool")
    },
}


@dataclass(frozen=True)
class DeclaredRun:
    """One run of the list.

    Attributes:
        name: of its record.
        source: a path, ``demo:NAME`` or ``hf:NAME``, as it is written.
        settings: arguments of :func:`headfit.compare`, as they are written.
        folder: what relative paths start from.
    """

    name: str
    source: str
    settings: Mapping[str, Any]
    folder: Path

    def to_dict(self) -> dict[str, Any]:
        """Give source and settings as a record holds them: of absolute paths the last part."""
        written = {"source": self.source, **self.settings}
        return {key: _shortened(value) if key in PATHS else value for key, value in written.items()}

    def resolved(self, key: str) -> Any:
        """Give a setting whose files, if it names any, start from the file of the list."""
        value = self.source if key == "source" else self.settings[key]
        if key not in PATHS:
            return value
        if isinstance(value, list):
            return [self._resolved(key, each) for each in value]
        return self._resolved(key, value)

    def _resolved(self, key: str, text: str) -> str:
        path = self.folder / text
        return str(path) if key in ("source", "root") or _is_file(path) else text


def read_declaration(path: Path) -> list[DeclaredRun]:
    """Read the runs of a file.

    Args:
        path: a TOML file with a table ``[[run]]`` for each run, and ``[defaults]`` for all.

    Raises:
        UsageError: there is no such file, or a key or value cannot be meant; names the run.
        DataError: it is not TOML, or too large.

    Example:

    ```toml
    [defaults]
    backbone = ["efficientnet_lite0", "MobileNet"]

    [[run]]
    source = "demo:digits"
    size = [64, 96]
    ```
    """
    try:
        data = files.read_regular(path, MAX_BYTES)
    except OSError as error:
        raise UsageError(
            f"Cannot read '{path}': {error.strerror}. Give a list FILE.toml, or the folder of a "
            f"board."
        ) from error
    for number, line in enumerate(data.splitlines(), 1):
        if line.count(b".") > MAX_DOTS:
            raise DataError(
                f"Line {number} of '{path}' has more than {MAX_DOTS} full stops: the file may be "
                f"damaged or hostile. Break the line if it is neither."
            )
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"'{path}' is not valid TOML: {reason}.") from error
    return expand(document, path.absolute().parent)


def expand(document: Mapping[str, Any], folder: Path) -> list[DeclaredRun]:
    """Make the runs of a list: each value of a list of backbones, weights, sizes or cuts is one.

    Args:
        document: content of the file.
        folder: what relative paths start from.

    Raises:
        UsageError: a key or value cannot be meant, or two runs have one name.

    Example:

    >>> tables = [{"source": "photos", "size": [64, 96]}]
    >>> [run.name for run in expand({"run": tables}, Path())]
    ['photos-64', 'photos-96']
    """
    for key in document:
        if key not in ("run", "defaults"):
            raise UnknownNameError("table", key, ("run", "defaults"))
    tables, defaults = document.get("run"), document.get("defaults", {})
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise UsageError("The list holds no runs: write a table [[run]] for each.")
    if not isinstance(defaults, dict):
        raise UsageError.invalid("defaults", defaults, "a table [defaults]")
    with _errors_of("[defaults]"):
        _check_keys(defaults, OPTIONS)
    checked = []
    for number, table in enumerate(tables, 1):
        with _errors_of(f"Run {_called(table, number)}"):
            _check_keys(table, ("name", "source", *OPTIONS))
            if "source" not in table:
                raise UsageError("the key source is missing: name a folder, a table or demo:NAME.")
        checked.append({**defaults, **table})
    count = sum(math.prod(len(_values(table, key)) for key in MULTIPLIED) for table in checked)
    if not 1 <= count <= MAX_RUNS:
        raise UsageError(f"A list may hold 1 to {MAX_RUNS:,} runs, and this one holds {count:,}.")
    runs = [run for n, table in enumerate(checked, 1) for run in _multiplied(table, n, folder)]
    _check_names(runs)
    return runs


@contextlib.contextmanager
def _errors_of(place: str) -> Iterator[None]:
    """Begin each message with the place in the list that it is about."""
    try:
        yield
    except HeadfitError as error:
        error.args = (f"{place}: {error}",)
        raise


def errors_of(run: DeclaredRun) -> contextlib.AbstractContextManager[None]:
    """Begin the message of each error with the name of the run."""
    return _errors_of(f"Run '{run.name}'")


def _called(table: Mapping[str, Any], number: int) -> str:
    name = table.get("name")
    return f"'{name}'" if isinstance(name, str) and NAME.fullmatch(name) else str(number)


def _check_keys(table: Mapping[str, Any], valid: tuple[str, ...]) -> None:
    for key, value in table.items():
        if key in LEFT_OUT:
            expected = f"left out: a board keeps no {LEFT_OUT[key]}"
            raise UsageError.invalid(key, value, expected)
        if key not in valid:
            raise UnknownNameError("key", key, valid)
        _check_value(key, value)


def _check_value(key: str, value: Any) -> None:
    kinds, noun = _KINDS.get(key, _TEXT)
    items = value if isinstance(value, list) and key in LISTED else [value]
    if not items or not all(_is_of(each, kinds) for each in items):
        raise UsageError.invalid(key, value, f"{noun}{', or a list' if key in LISTED else ''}")
    if key == "name" and not NAME.fullmatch(value):
        expected = "at most 100 letters, digits and . _ - +, a letter or digit first"
        raise UsageError.invalid(key, value, expected)
    if key in ("source", "root") and not all(items):
        raise UsageError.invalid(key, value, "the path of the images, or demo:NAME")


def _is_of(value: Any, kinds: _Kinds) -> bool:
    return isinstance(value, kinds) and isinstance(value, bool) == (bool in kinds)


def _values(table: Mapping[str, Any], key: str) -> list[Any]:
    value = table.get(key)
    return value if isinstance(value, list) else [value]


def _multiplied(table: Mapping[str, Any], number: int, folder: Path) -> Iterator[DeclaredRun]:
    settings = {key: table[key] for key in OPTIONS if key in table}
    lists = [key for key in MULTIPLIED if isinstance(table.get(key), list)]
    for values in itertools.product(*(table[key] for key in lists)):
        chosen = dict(zip(lists, values, strict=True))
        source = str(chosen.pop("source", table["source"]))
        stem = [str(table["name"])] if "name" in table else []
        if not stem or "source" in lists:
            stem.append(_slug(source.removeprefix(DEMO).removeprefix(DATASET)) or f"run-{number}")
        name = "-".join([*stem, *(_slug(str(value)) for value in chosen.values())])
        yield DeclaredRun(name, source, {**settings, **chosen}, folder)


def _slug(text: str) -> str:
    """Give the last part of a path, as far as names of records can hold it."""
    last = PureWindowsPath(text.rstrip("/\\")).name
    stem = re.sub(r"\.(keras|h5|zip|csv|tsv|jsonl|parquet|tar(\.\w+)?)$", "", last)
    return re.sub(r"[^\w.+-]+", "-", stem).strip("-.+")[:60]


def _check_names(runs: list[DeclaredRun]) -> None:
    seen: dict[str, DeclaredRun] = {}
    for run in runs:
        if not NAME.fullmatch(run.name):
            raise UsageError(
                f"The name '{run.name}' is longer than 100 characters: set a shorter name."
            )
        other = seen.setdefault(run.name.casefold(), run)  # some file systems know no case
        if other is not run:
            raise UsageError(
                f"Two runs are called '{run.name}' (sources '{other.source}' and "
                f"'{run.source}'): set another name in one of them."
            )


def _shortened(value: Any) -> Any:
    if isinstance(value, list):
        return [_shortened(each) for each in value]
    kinds = (PurePosixPath(value), PureWindowsPath(value))
    return next((path.name for path in kinds if path.is_absolute()), value)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # for instance many heads, which are too long for a name
        return False
