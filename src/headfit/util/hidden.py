"""Packages that are installed and must not be imported in this process."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


class _Hidden(MetaPathFinder, Loader):
    """Finds a package, as long as nobody imports it.

    ``None`` in ``sys.modules`` would do it too, but Keras takes a name there for a package that was
    imported.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Give a package that is hidden; it is still known whether it is installed."""
        installed = name in self.names and PathFinder.find_spec(name, path) is not None
        return ModuleSpec(name, self) if installed else None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Refuse to import it, as if it were absent."""
        raise ModuleNotFoundError(f"No module named '{spec.name}'", name=spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is never one."""


_HIDDEN = _Hidden()


def hide(name: str) -> None:
    """Let ``import`` of a package fail from now on, if it was not imported before."""
    if name not in sys.modules:
        _HIDDEN.names.add(name)
        if _HIDDEN not in sys.meta_path:
            sys.meta_path.insert(0, _HIDDEN)


def is_hidden(name: str) -> bool:
    """Whether :func:`hide` was called for a package."""
    return name in _HIDDEN.names
