"""A watcher that keeps what it is told."""

from __future__ import annotations

import headfit as hf


class Listener(hf.Watcher):
    """Keeps lines and the names of stages."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.stages: list[str] = []

    def stage(self, name: str, total: float) -> None:
        self.stages.append(name)

    def tell(self, message: str) -> None:
        self.lines.append(message)

    def said(self, text: str) -> bool:
        """Whether a line holds this text."""
        return any(text in line for line in self.lines)
