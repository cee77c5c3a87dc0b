"""Call the user's function that returns a model. Imports Keras."""

from __future__ import annotations

import importlib
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from headfit.errors import EngineError, UsageError
from headfit.util.child import importable_here

SIZED = "input_shape"
OPEN_SIZE = 224


def call(place: str, size: int | None) -> keras.Model:
    """Import the module, the current folder first, and call its function.

    Args:
        place: ``module:function``; it takes no argument, or ``input_shape``.
        size: side of the input in pixels; if None the default of ``input_shape``, else 224.

    Raises:
        UsageError: if there is no such function, or it returns anything but a Keras model.
        EngineError: if it fails; the message is one line with its exception.
    """
    with importable_here():
        function = _find(place)
        arguments = _arguments(place, function, size)
        try:
            model = function(**arguments)
        except (Exception, SystemExit) as error:
            raise _failed(place, error) from None
    if not isinstance(model, keras.Model):
        kind = f"{type(model).__module__}.{type(model).__qualname__}"
        raise UsageError(f"{place} returns a {kind}; expected a keras.Model.")
    return model


def takes_size(place: str) -> bool:
    """Whether the function can be asked for any input size."""
    with importable_here():
        return SIZED in inspect.signature(_find(place)).parameters


def sources() -> list[Path]:
    """List the files of all modules that were loaded and are not installed: the user's code."""
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    paths = {Path(file).resolve() for file in files if file}
    return sorted(path for path in paths if path.is_file() and not _installed(path))


def _find(place: str) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise _failed(place, error) from None
        raise UsageError(
            f"The backbone {place} cannot be imported: there is no module '{module}' in "
            f"'{Path.cwd()}', and none is installed."
        ) from None
    except (Exception, SystemExit) as error:
        raise _failed(place, error) from None
    function = getattr(imported, name, None)
    if not callable(function):
        what = "does not exist" if function is None else "is not a function"
        raise UsageError(f"The backbone {place} cannot be called: '{name}' of '{module}' {what}.")
    return function  # type: ignore[no-any-return]


def _arguments(place: str, function: Callable[..., Any], size: int | None) -> dict[str, Any]:
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # some built-in functions have no signature
        return {}
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [
        name
        for name, each in parameters.items()
        if each.default is each.empty and each.kind not in variadic and name != SIZED
    ]
    if needed:
        raise UsageError(
            f"The backbone {place} needs the argument '{needed[0]}'; expected a function without "
            f"arguments, or with input_shape only."
        )
    if SIZED not in parameters:
        return {}
    default = parameters[SIZED].default
    if size is None and isinstance(default, tuple) and len(default) == 3:
        return {}
    side = size or OPEN_SIZE
    return {SIZED: (side, side, 3)}


def _failed(place: str, error: BaseException) -> EngineError:
    """Report in one line what the user's code raised, and where."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if Path(f.filename).is_file() and not _installed(Path(f.filename))]
    where = f" ({Path(theirs[-1].filename).name}, line {theirs[-1].lineno})" if theirs else ""
    reason = " ".join(str(error).split())[:250].rstrip(".")
    summary = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    return EngineError(f"The backbone {place} failed{where}: {summary}.")


def _installed(path: Path) -> bool:
    """Whether a file belongs to Python, to an installed package or to headfit."""
    homes = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib")]
    homes += [Path(sysconfig.get_path("platlib")), Path(__file__).parents[2]]
    return any(path.resolve().is_relative_to(home.resolve()) for home in homes)
