"""A callback that keeps what it is told."""

from __future__ import annotations

import headfit as hf
from headfit.progress import HeadScore


class Listener(hf.Callback):
    """Keeps lines, the names of stages and the scores of heads."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.stages: list[str] = []
        self.scores: list[HeadScore] = []

    def on_stage_begin(self, name: str, total: float, unit: str = "") -> None:
        self.stages.append(name)

    def on_head_end(self, found: HeadScore) -> None:
        self.scores.append(found)

    def on_message(self, message: str) -> None:
        self.lines.append(message)

    def has_line(self, text: str) -> bool:
        """Whether a line holds this text."""
        return any(text in line for line in self.lines)
