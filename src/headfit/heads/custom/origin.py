"""Where a custom head comes from: it is located before any work, without running its code."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headfit.errors import UsageError
from headfit.util.child import importable_here

REASON = 250  # characters of an error of the user's code that are shown


@dataclass(frozen=True)
class Origin:
    """The origin of a custom head: exactly one of function, file and callable is set.

    Attributes:
        name: how the user wrote it.
        place: ``module:function``.
        file: path of a saved Keras model.
        function: a callable that no other process can import.
    """

    name: str
    place: str | None = None
    file: str | None = None
    function: Callable[..., Any] | None = None

    @property
    def module(self) -> str:
        """The module that the user named, which may be imported; empty if none."""
        return (self.place or "").partition(":")[0]


def from_file(text: str) -> Origin:
    """Locate a saved Keras model; raise UsageError if there is none."""
    path = Path(text).resolve()
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "does not exist"
        raise UsageError(
            f"Head '{text}' {problem}. Expected a saved Keras model from a feature map to a vector."
        )
    return Origin(text, file=str(path))


def from_place(text: str) -> Origin:
    """Locate ``module:function``; the module is in the current folder or installed.

    Raises:
        UsageError: if there is no such module, or its source does not define the name.
    """
    module, _, name = text.partition(":")
    with importable_here():
        try:
            spec = importlib.util.find_spec(module)
        except Exception as error:  # its parent package is imported, and may raise anything
            if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
                spec = None
            else:
                reason = " ".join(str(error).split())[:REASON]
                raise UsageError(
                    f"Head '{text}' failed: {type(error).__name__}: {reason}."
                ) from error
    if spec is None:
        raise UsageError(
            f"Head '{text}': there is no module '{module}', neither in '{Path.cwd()}' nor "
            f"installed."
        )
    if spec.origin and spec.origin.endswith(".py") and not _may_define(Path(spec.origin), name):
        raise UsageError(f"Head '{text}': module '{module}' has no '{name}'.")
    return Origin(text, place=text)


def from_callable(function: Any) -> Origin:
    """Take a Python callable: by its name if a child process can import it, else as it is."""
    if not callable(function):
        raise UsageError(
            f"`heads` must hold chains, or callables from the feature map, a Keras tensor, to a "
            f"vector. Received: {function!r:.80}."
        )
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    if _is_importable(module, name, function):
        return Origin(f"{module}:{name}", place=f"{module}:{name}")
    plain = getattr(function, "__name__", None) or getattr(function, "name", None)
    return Origin(str(plain or type(function).__name__).strip("<>"), function=function)


def _is_importable(module: str | None, name: str, function: Callable[..., Any]) -> bool:
    """Whether a child process gets the same object by this name."""
    if not module or module == "__main__" or not name.isidentifier():
        return False
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return False
    return spec is not None and getattr(sys.modules.get(module), name, None) is function


def _may_define(path: Path, name: str) -> bool:
    """Whether a source mentions the name as a definition, or may define it dynamically."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return True  # reported when it is run
    for node in ast.walk(tree):
        names = {getattr(node, "name", None), getattr(node, "asname", None), getattr(node, "id", 0)}
        if names & {name, "*", "__getattr__"} or (isinstance(node, ast.Call) and _dynamic(node)):
            return True
    return False


def _dynamic(node: ast.Call) -> bool:
    return getattr(node.func, "id", "") in {"globals", "setattr", "exec", "vars"}
