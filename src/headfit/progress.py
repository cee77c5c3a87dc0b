"""How a comparison tells what it is doing; the stages themselves never print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

IMAGES = "images"


@dataclass(frozen=True)
class Scored:
    """A head that was cross-validated, as soon as it is known.

    Attributes:
        name: as in ``results.json``, with the backbone, size and cut where there are several.
        score: balanced accuracy: ``mean``, ``low``, ``high`` of the 95 % interval, ``folds``.
        log_loss: likewise.
        parameters: of the head.
        seconds: that its fits took when they were made.
    """

    name: str
    score: dict[str, Any]
    log_loss: dict[str, Any]
    parameters: int
    seconds: float


class Watcher:
    """Is told how a comparison goes; this one is silent. Subclass it to show progress."""

    def stage(self, name: str, total: float, unit: str = "") -> None:
        """A stage begins; ``total`` is what its progress will add up to, ``"images"`` or none."""

    def advance(self, done: float, detail: str = "", skipped: int = 0) -> None:
        """So much of the stage is done, and so many images were skipped."""

    def scored(self, found: Scored) -> None:
        """A head has its scores."""

    def tell(self, message: str) -> None:
        """Something that the user should read: a fallback, a warning, what was cached."""


class Watchers(Watcher):
    """Tells several watchers the same."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = tuple(watchers)

    def stage(self, name: str, total: float, unit: str = "") -> None:
        """Tell it all."""
        for each in self._watchers:
            each.stage(name, total, unit)

    def advance(self, done: float, detail: str = "", skipped: int = 0) -> None:
        """Tell it all."""
        for each in self._watchers:
            each.advance(done, detail, skipped)

    def scored(self, found: Scored) -> None:
        """Tell it all."""
        for each in self._watchers:
            each.scored(found)

    def tell(self, message: str) -> None:
        """Tell it all."""
        for each in self._watchers:
            each.tell(message)
