"""Whether a head of the user's own is there at all, before any work: none of its code is run."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headfit.errors import UsageError
from headfit.heads.custom.store import Origin
from headfit.util.child import importable_here


def of_file(text: str) -> Origin:
    """Find a saved Keras model.

    Raises:
        UsageError: if it is no file.
    """
    path = Path(text).resolve()
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise UsageError(
            f"--heads '{text}' {found}. Expected a saved Keras model, from a map to a vector."
        )
    return Origin(text, file=str(path))


def of_place(text: str) -> Origin:
    """Find ``module:function``, the module in the current folder or installed.

    Raises:
        UsageError: if there is no such module, or its source defines no such name.
    """
    module, _, name = text.partition(":")
    with importable_here():
        try:
            spec = importlib.util.find_spec(module)
        except Exception as error:  # a package around it is imported, and may do anything
            if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
                spec = None
            else:
                reason = " ".join(str(error).split())[:250]
                raise UsageError(
                    f"--heads {text} failed: {type(error).__name__}: {reason}."
                ) from error
    if spec is None:
        raise UsageError(
            f"--heads {text}: there is no module '{module}', neither in '{Path.cwd()}' nor "
            f"installed."
        )
    if spec.origin and spec.origin.endswith(".py") and not _may_define(Path(spec.origin), name):
        raise UsageError(f"--heads {text}: module '{module}' has no '{name}'.")
    return Origin(text, place=text)


def of_callable(given: Any) -> Origin:
    """Take a Python callable: by its name if a child process can import it, else as it is.

    Raises:
        UsageError: if it cannot be called.
    """
    if not callable(given):
        raise UsageError(
            f"heads holds {given!r:.80}, which is no text and cannot be called. Expected chains, "
            f"or a callable from the feature map, a Keras tensor, to a vector."
        )
    module, name = getattr(given, "__module__", None), getattr(given, "__qualname__", "")
    if module and module != "__main__" and name.isidentifier() and _is_there(module, name, given):
        return Origin(f"{module}:{name}", place=f"{module}:{name}")
    plain = getattr(given, "__name__", None) or getattr(given, "name", None)
    return Origin(str(plain or type(given).__name__).strip("<>"), function=given)


def _is_there(module: str, name: str, given: Callable[..., Any]) -> bool:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return False
    return spec is not None and getattr(sys.modules.get(module), name, None) is given


def _may_define(path: Path, name: str) -> bool:
    """Whether a source names it anywhere at its top level, or may by means unseen."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return True  # to be reported when it is run
    for node in ast.walk(tree):
        names = {getattr(node, "name", None), getattr(node, "asname", None), getattr(node, "id", 0)}
        if names & {name, "*", "__getattr__"} or (isinstance(node, ast.Call) and _dynamic(node)):
            return True
    return False


def _dynamic(node: ast.Call) -> bool:
    return getattr(node.func, "id", "") in {"globals", "setattr", "exec", "vars"}
