"""A watcher that keeps what it is told."""

from __future__ import annotations

import headfit as hf
from headfit.progress import Scored


class Listener(hf.Watcher):
    """Keeps lines, the names of stages and the scores of heads."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.stages: list[str] = []
        self.scores: list[Scored] = []

    def stage(self, name: str, total: float, unit: str = "") -> None:
        self.stages.append(name)

    def scored(self, found: Scored) -> None:
        self.scores.append(found)

    def tell(self, message: str) -> None:
        self.lines.append(message)

    def said(self, text: str) -> bool:
        """Whether a line holds this text."""
        return any(text in line for line in self.lines)
